# frozen_string_literal: true

control "livetally-iam-04" do
  impact 1.0
  title "GitHub may deploy from one repository only, without a key"
  desc "The roles are taken with a token that names the repository and why it runs, for an hour at most."
  desc "rationale", "A wildcard here is a deploy by everybody who can make a repository."
  desc "fix", "modules/access; terraform apply."
  tag component: "access", cis: ["CIS Controls 8: 5.4"], nist: %w[AC-6 IA-2 IA-9]
  ref "terraform/modules/access"
  only_if("no repository deploys this environment") { !input("github_role_names").empty? }
  { "plan" => /\Arepo:[^*]+:pull_request\z/, "apply" => /\Arepo:[^*]+:environment:#{input("environment")}\z/ }.each do |use, subject|
    describe livetally_role(input("github_role_names")[use]) do
      it { should exist }
      its("trusted") { should include(%r{:oidc-provider/token\.actions\.githubusercontent\.com\z}).and have_attributes(length: 1) }
      its("subjects") { should include(subject).and have_attributes(length: 1) }
      its("audiences") { should eq ["sts.amazonaws.com"] }
      its("max_session_s") { should eq 3600 }
    end
  end
end
