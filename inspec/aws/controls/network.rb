# frozen_string_literal: true

subnets = [input("public_subnet_ids"), input("private_subnet_ids"), input("data_subnet_ids")]
sg = input("security_group_ids")
region = input("kms_key_arn").split(":")[3]

control "livetally-vpc-01" do
  impact 0.7
  title "All traffic is logged"
  desc "The VPC has a flow log of accepted and refused traffic, to the log group that the environment keeps."
  desc "rationale", "After an incident it is the only witness of who talked to whom."
  desc "fix", "terraform apply (aws_flow_log in modules/network)."
  tag component: "network", cis: ["CIS AWS 3.0.0: 3.7"], nist: %w[AU-2 AU-12 SI-4]
  ref "terraform/modules/network"
  describe aws_vpc(vpc_id: input("vpc_id")) do
    it { should exist }
    it { should_not be_default }
  end
  describe livetally_flow_log(input("vpc_id")) do
    it { should exist }
    its("traffic_type") { should eq "ALL" }
    its("status") { should eq "ACTIVE" }
    its("log_group_name") { should eq input("flow_log_group_name") }
  end
end

control "livetally-vpc-02" do
  impact 0.8
  title "Nothing gets a public address by itself"
  desc "No subnet, not even a public one, gives public addresses to what is started in it."
  desc "rationale", "What has a public address is one rule away from the internet."
  desc "fix", "map_public_ip_on_launch must not be set on aws_subnet in modules/network."
  tag component: "network", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "terraform/modules/network"
  subnets.each do |ids|
    describe livetally_subnets(ids) do
      it { should exist }
      its("public_addresses") { should eq [false] }
    end
  end
end

control "livetally-vpc-03" do
  impact 1.0
  title "Data has no way out"
  desc "Subnets of Postgres and Redis have no route but the VPC's own."
  desc "rationale", "What was stolen can't be sent anywhere, whatever a security group lets through."
  desc "fix", "Take the route out of the table NAME-data; terraform apply."
  tag component: "network", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  describe livetally_subnets(input("data_subnet_ids")) do
    it { should exist }
    its("ways_out") { should eq [[]] }
  end
end

control "livetally-vpc-04" do
  impact 0.9
  title "Tasks go out by NAT only, or not at all"
  desc "Private subnets have a NAT gateway (none: only endpoints in the VPC), never an internet gateway."
  desc "rationale", "An internet gateway lets the world answer first."
  desc "fix", "Set the route of the tables NAME-private-ZONE back; terraform apply."
  tag component: "network", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "terraform/modules/network"
  ways_out = { "none" => [], "one" => ["0.0.0.0/0 by nat"], "per_zone" => ["0.0.0.0/0 by nat"] }
  describe livetally_subnets(input("private_subnet_ids")) do
    it { should exist }
    its("ways_out") { should eq [ways_out.fetch(input("nat"))] }
  end
end

control "livetally-vpc-05" do
  impact 0.8
  title "Each subnet of a kind is in another zone"
  desc "Public, private and data subnets lie in as many zones as there are, two at least."
  desc "rationale", "A zone fails once a year or so; what is in one zone fails with it."
  desc "fix", "Subnets can't move: give terraform other zones and let it make new ones."
  tag component: "network", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9 CP-10]
  ref "terraform/modules/network"
  subnets.each do |ids|
    describe livetally_subnets(ids) do
      it { should exist }
      its("zones") { should be_a(Integer).and be >= 2 }
      its("zones") { should eq ids.length }
    end
  end
end

control "livetally-vpc-06" do
  impact 0.6
  title "A zone that fails takes nobody else's way out with it"
  desc "There are NAT gateways as declared: none, one, or one in every zone; prod must declare the last or none."
  desc "rationale", "Tasks that can't reach AWS can't start, and the others have just lost a zone."
  desc "fix", "terraform apply (aws_nat_gateway in modules/network)."
  tag component: "network", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-10 SC-5]
  ref "terraform/modules/network"
  describe livetally_nat(input("vpc_id")) do
    it { should exist }
    its("subnets") { should eq({ "none" => 0, "one" => 1, "per_zone" => input("public_subnet_ids").length }.fetch(input("nat"))) }
  end
end

control "livetally-sg-01" do
  impact 0.5
  title "The default security group lets nothing through"
  desc "It has no rule, neither inwards nor outwards."
  desc "rationale", "Whatever is started without a group gets this one."
  desc "fix", "terraform apply (aws_default_security_group in modules/network)."
  tag component: "network", cis: ["CIS AWS 3.0.0: 5.4"], nist: %w[SC-7 CM-6]
  ref "terraform/modules/network"
  describe livetally_security_group(vpc_id: input("vpc_id"), group_name: "default") do
    it { should exist }
    its("inbound") { should eq [] }
    its("outbound") { should eq [] }
  end
end

control "livetally-sg-02" do
  impact 1.0
  title "The load balancer hears HTTPS and redirects HTTP"
  desc "The world reaches ports 80 and 443 (behind CloudFront: CloudFront 443), and the load balancer only the tasks."
  desc "rationale", "No other port of ours is the world's business."
  desc "fix", "Remove the rule that terraform plan shows as drift; terraform apply."
  tag component: "network", cis: ["CIS AWS 3.0.0: 5.2"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  world = { true => ["tcp 443 com.amazonaws.global.cloudfront.origin-facing"], false => ["tcp 443 0.0.0.0/0", "tcp 80 0.0.0.0/0"] }
  describe livetally_security_group(group_id: sg["alb"]) do
    it { should exist }
    its("inbound") { should eq world.fetch(input("distribution_id") != "") }
    its("outbound") { should eq ["tcp #{input("port")} #{sg["service"]}"] }
  end
end

control "livetally-sg-03" do
  impact 1.0
  title "Tasks hear the load balancer only"
  desc "One rule lets in: from the load balancer's group to the service's port."
  desc "rationale", "Past the load balancer there is no WAF and no TLS policy."
  desc "fix", "Remove the rule that terraform plan shows as drift; terraform apply."
  tag component: "network", cis: ["CIS AWS 3.0.0: 5.2"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  describe livetally_security_group(group_id: sg["service"]) do
    it { should exist }
    its("inbound") { should eq ["tcp #{input("port")} #{sg["alb"]}"] }
  end
end

control "livetally-sg-04" do
  impact 1.0
  title "Postgres hears the tasks only"
  desc "One rule lets in: from the tasks' group to 5432; none lets out."
  desc "rationale", "A database that somebody can try passwords on will be tried."
  desc "fix", "Remove the rule that terraform plan shows as drift; terraform apply."
  tag component: "network", cis: ["CIS AWS 3.0.0: 5.2"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  describe livetally_security_group(group_id: sg["database"]) do
    it { should exist }
    its("inbound") { should eq ["tcp 5432 #{sg["service"]}"] }
    its("outbound") { should eq [] }
  end
end

control "livetally-sg-05" do
  impact 1.0
  title "Redis hears the tasks only"
  desc "One rule lets in: from the tasks' group to 6379; none lets out."
  desc "rationale", "A Redis that strangers can write to forges what every viewer sees."
  desc "fix", "Remove the rule that terraform plan shows as drift; terraform apply."
  tag component: "network", cis: ["CIS AWS 3.0.0: 5.2"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  describe livetally_security_group(group_id: sg["cache"]) do
    it { should exist }
    its("inbound") { should eq ["tcp 6379 #{sg["service"]}"] }
    its("outbound") { should eq [] }
  end
end

control "livetally-sg-06" do
  impact 0.8
  title "Tasks reach Postgres, Redis and AWS only"
  desc "Four rules let out: 5432, 6379, HTTPS to S3's endpoint, and HTTPS to AWS (by NAT: to anywhere; without: to the endpoints)."
  desc "rationale", "What got into a task finds no other door."
  desc "fix", "Remove the rule that terraform plan shows as drift; terraform apply."
  tag component: "network", cis: ["CIS Controls 8: 13.4"], nist: %w[SC-7 AC-4]
  ref "terraform/modules/network"
  to_aws = { "none" => "tcp 443 #{sg["endpoints"]}", "one" => "tcp 443 0.0.0.0/0", "per_zone" => "tcp 443 0.0.0.0/0" }
  describe livetally_security_group(group_id: sg["service"]) do
    it { should exist }
    its("outbound") do
      should match_array ["tcp 5432 #{sg["database"]}", "tcp 6379 #{sg["cache"]}", "tcp 443 com.amazonaws.#{region}.s3", to_aws.fetch(input("nat"))]
    end
  end
end
