# frozen_string_literal: true

engine = input("database_engine")
identifier = input("database_identifier")

control "livetally-rds-01" do
  impact 1.0
  title "Postgres has no public address"
  desc "No instance is publicly accessible; all are in the data subnets, with the database's group only."
  desc "rationale", "Then not even a wrong rule lets the world in."
  desc "fix", "publicly_accessible = false, subnets and group in modules/database; terraform apply."
  tag component: "database", cis: ["CIS AWS 3.0.0: 2.3.3"], nist: %w[SC-7 AC-3]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("publicly_accessible") { should eq [false] }
    its("subnet_ids") { should eq input("data_subnet_ids").sort }
    its("security_group_ids") { should eq [input("security_group_ids")["database"]] }
  end
end

control "livetally-rds-02" do
  impact 1.0
  title "Postgres is encrypted with our key"
  desc "Storage, and with it backups and replicas, is encrypted with the environment's key."
  desc "rationale", "A copied snapshot is worth nothing to who hasn't the key."
  desc "fix", "Encryption can't be switched on later: restore a snapshot, copied with the key."
  tag component: "database", cis: ["CIS AWS 3.0.0: 2.3.1"], nist: %w[SC-28 SC-12]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("storage_encrypted") { should eq true }
    its("kms_key_id") { should eq input("kms_key_arn") }
  end
end

control "livetally-rds-03" do
  impact 0.9
  title "Postgres has a standby where the environment wants one"
  desc "Multi-AZ (Aurora: a second instance) is as declared; prod must declare it."
  desc "rationale", "What an event waits for must not be in one zone."
  desc "fix", "database.multi_az in environments/ENVIRONMENT.tfvars; terraform apply."
  tag component: "database", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9 CP-10]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("multi_az") { should eq input("database_multi_az") }
  end
end

control "livetally-rds-04" do
  impact 1.0
  title "Postgres is backed up"
  desc "Automatic backups reach back as many days as declared (prod: 14 or more)."
  desc "rationale", "It is how a mistake of an hour ago is undone."
  desc "fix", "database.backup_days in environments/ENVIRONMENT.tfvars; terraform apply."
  tag component: "database", cis: ["CIS Controls 8: 11.2"], nist: %w[CP-9]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("backup_retention_period") { should eq input("database_backup_days") }
  end
end

control "livetally-rds-05" do
  impact 0.9
  title "Postgres can't be deleted by a slip"
  desc "Deletion protection is as declared; prod must declare it."
  desc "rationale", "Nothing else undoes a deletion but a backup."
  desc "fix", "deletion_protection in environments/ENVIRONMENT.tfvars; terraform apply."
  tag component: "database", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9 CM-3]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("deletion_protection") { should eq input("deletion_protection") }
  end
end

control "livetally-rds-06" do
  impact 1.0
  title "Postgres talks TLS only"
  desc "rds.force_ssl is 1 in the parameter group: whoever comes without TLS is refused."
  desc "rationale", "Passwords and events cross zones of somebody else's network."
  desc "fix", "rds.force_ssl in modules/database; terraform apply."
  tag component: "database", cis: ["CIS Controls 8: 3.10"], nist: %w[SC-8 SC-13]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("force_ssl") { should eq "1" }
  end
end

control "livetally-rds-07" do
  impact 0.9
  title "The owner's password is RDS's own"
  desc "RDS made it, rotates it, and keeps it in Secrets Manager with our key."
  desc "rationale", "It is in no state file, and nobody has to remember to change it."
  desc "fix", "manage_master_user_password in modules/database; terraform apply."
  tag component: "database", cis: ["CIS Controls 8: 5.2"], nist: %w[IA-5 SC-12]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("owner_secret_arn") { should eq input("database_owner_secret_arn") }
    its("owner_secret_key") { should eq input("kms_key_arn") }
  end
end

control "livetally-rds-08" do
  impact 0.6
  title "Postgres tells what it does"
  desc "Its log goes to CloudWatch, statements are sampled, the machine is measured every minute."
  desc "rationale", "Without them the hour after an incident is guesswork."
  desc "fix", "enabled_cloudwatch_logs_exports, performance_insights_enabled, monitoring_interval in modules/database."
  tag component: "database", cis: ["CIS Controls 8: 8.2"], nist: %w[AU-2 AU-12 SI-4]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("log_exports") { should eq({ "rds" => %w[postgresql upgrade], "aurora" => %w[postgresql] }.fetch(engine)) }
    its("performance_insights_enabled") { should eq [true] }
    its("monitoring_intervals") { should eq [60] }
  end
end

control "livetally-rds-09" do
  impact 0.6
  title "Postgres 16 is patched by itself"
  desc "Its major version is 16 everywhere, and minor versions come in the maintenance window."
  desc "rationale", "Security fixes are minor versions."
  desc "fix", "engine_version and auto_minor_version_upgrade in modules/database."
  tag component: "database", cis: ["CIS AWS 3.0.0: 2.3.2"], nist: %w[SI-2]
  ref "terraform/modules/database"
  describe livetally_database(engine: engine, identifier: identifier) do
    it { should exist }
    its("version") { should eq "16" }
    its("auto_minor_version_upgrade") { should eq [true] }
  end
end
