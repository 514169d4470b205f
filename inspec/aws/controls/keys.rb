# frozen_string_literal: true

control "livetally-kms-01" do
  impact 1.0
  title "Our key is on, rotates, and isn't about to go"
  desc "One customer key, enabled, rotated every year, not waiting for its deletion."
  desc "rationale", "Everything at rest is as safe as this key."
  desc "fix", "terraform/kms.tf; aws kms cancel-key-deletion."
  tag component: "keys", cis: ["CIS AWS 3.0.0: 3.6"], nist: %w[SC-12]
  ref "terraform/kms.tf"
  describe aws_kms_key(key_id: input("kms_key_arn")) do
    it { should exist }
    it { should be_enabled }
    it { should have_rotation_enabled }
    it { should_not be_managed_by_aws }
    its("key_state") { should eq "Enabled" }
  end
end

control "livetally-kms-02" do
  impact 1.0
  title "Our key is for our account, and for AWS on its behalf"
  desc "Its policy lets in the account, and services only on a condition that names the account."
  desc "rationale", "Who may decrypt may read every backup, message and log."
  desc "fix", "aws_iam_policy_document.key in terraform/kms.tf; terraform apply."
  tag component: "keys", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3 AC-6 SC-12]
  ref "terraform/kms.tf"
  describe livetally_key(input("kms_key_arn")) do
    it { should exist }
    its("strangers") { should eq [] }
  end
end

control "livetally-secrets-01" do
  impact 0.9
  title "Passwords are encrypted with our key"
  desc "The service's and Redis's passwords (the owner's: livetally-rds-07) are in Secrets Manager with the environment's key."
  desc "rationale", "Who may read secrets and who may decrypt them are two questions."
  desc "fix", "aws_secretsmanager_secret in modules/database and modules/cache."
  tag component: "keys", cis: ["CIS Controls 8: 3.11"], nist: %w[SC-28 SC-12 IA-5]
  ref "terraform/modules/database"
  [input("database_service_secret_arn"), input("cache_password_secret_arn")].each do |secret|
    describe livetally_secret(secret) do
      it { should exist }
      its("kms_key_id") { should eq input("kms_key_arn") }
      its("deleted_date") { should eq nil }
    end
  end
end
