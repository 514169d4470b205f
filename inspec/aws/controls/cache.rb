# frozen_string_literal: true

group = input("cache_replication_group_id")

control "livetally-redis-01" do
  impact 1.0
  title "Redis talks TLS only"
  desc "Transit encryption is on and required."
  desc "rationale", "What is counted crosses zones of somebody else's network."
  desc "fix", "transit_encryption_enabled and _mode in modules/cache."
  tag component: "cache", cis: ["CIS Controls 8: 3.10"], nist: %w[SC-8 SC-13]
  ref "terraform/modules/cache"
  describe livetally_cache(group) do
    it { should exist }
    its("transit_encryption") { should eq true }
    its("transit_encryption_mode") { should eq "required" }
  end
end

control "livetally-redis-02" do
  impact 0.8
  title "Redis is encrypted with our key"
  desc "What it keeps on disk (a swap, a copy for a new replica) is encrypted with the environment's key."
  desc "rationale", "Snapshots and disks of somebody else's machines are worth nothing to who hasn't the key."
  desc "fix", "at_rest_encryption_enabled and kms_key_id in modules/cache: a new group."
  tag component: "cache", cis: ["CIS Controls 8: 3.11"], nist: %w[SC-28 SC-12]
  ref "terraform/modules/cache"
  describe livetally_cache(group) do
    it { should exist }
    its("at_rest_encryption") { should eq true }
    its("kms_key_id") { should eq input("kms_key_arn") }
  end
end

control "livetally-redis-03" do
  impact 0.8
  title "Redis fails over by itself where there are nodes to"
  desc "As many nodes as declared; with two or more Multi-AZ and automatic failover are on."
  desc "rationale", "Without Redis dashboards fall back to asking Postgres."
  desc "fix", "cache.nodes in environments/ENVIRONMENT.tfvars; terraform apply."
  tag component: "cache", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-10]
  ref "terraform/modules/cache"
  describe livetally_cache(group) do
    it { should exist }
    its("nodes") { should eq input("cache_nodes") }
    its("automatic_failover") { should eq({ true => "enabled", false => "disabled" }.fetch(input("cache_nodes") > 1)) }
    its("multi_az") { should eq({ true => "enabled", false => "disabled" }.fetch(input("cache_nodes") > 1)) }
  end
end

control "livetally-redis-04" do
  impact 0.9
  title "Redis is where nobody else is"
  desc "Its nodes are in the data subnets."
  desc "rationale", "From there no route leads out."
  desc "fix", "subnet_ids of modules/cache; terraform apply makes a new group."
  tag component: "cache", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "terraform/modules/cache"
  describe livetally_cache(group) do
    it { should exist }
    its("subnet_ids") { should eq input("data_subnet_ids").sort }
  end
end

control "livetally-redis-05" do
  impact 1.0
  title "One user may sign in to Redis, with a password, for our keys only"
  desc "The group's users are livetally (our keys and channels, nothing dangerous) and default, which is off."
  desc "rationale", "The default user of Redis may do everything, without a password."
  desc "fix", "aws_elasticache_user in modules/cache; terraform apply."
  tag component: "cache", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3 AC-6 IA-2]
  ref "terraform/modules/cache"
  describe livetally_cache(group) do
    it { should exist }
    its("user_group_ids") { should eq [input("cache_user_group_id")] }
  end
  describe livetally_cache_users(input("cache_user_group_id")) do
    it { should exist }
    its("names") { should eq %w[default livetally] }
    its("without_password") { should eq [] }
    its("access") { should include "default" => "off -@all" }
    its("access") { should include "livetally" => /\Aon ~livetally\* &livetally\* -@all .*-@dangerous\z/ }
  end
end
