# frozen_string_literal: true

require "aws-sdk-ec2"
require "livetally_aws"

# The flow log of a VPC (the pack's resource doesn't tell which traffic it logs).
class LivetallyFlowLog < LivetallyAws
  name "livetally_flow_log"
  desc "A VPC's flow log: where it goes and what is in it."

  def initialize(vpc_id)
    super()
    @vpc_id = vpc_id
    filter = [{ name: "resource-id", values: [vpc_id] }]
    @found = ask { client(Aws::EC2::Client).describe_flow_logs(filter: filter).flow_logs.first }
  end

  def traffic_type
    @found&.traffic_type
  end

  def log_group_name
    @found && (@found.log_group_name || @found.log_destination.to_s.split(":")[6])
  end

  def status
    @found&.flow_log_status
  end

  def label
    "flow log of #{@vpc_id}"
  end
end

# Subnets of a kind. Properties are what each of them has, every value once: `eq` then says what all
# have. Of none at all nothing is true.
class LivetallySubnets < LivetallyAws
  name "livetally_subnets"
  desc "Subnets: their zones, and the ways out of them."

  def initialize(subnet_ids)
    super()
    @label = "subnets #{subnet_ids.join(" ")}"
    found = subnet_ids.map { |id| ask { ec2.describe_subnets(subnet_ids: [id]).subnets.first } }
    @found = found if found.any? && found.all?
  end

  def zones
    subnets.map(&:availability_zone).uniq.length
  end

  def public_addresses
    subnets.map(&:map_public_ip_on_launch).uniq
  end

  # DESTINATION by KIND OF GATEWAY, sorted: igw, nat, or what else there is. The VPC's own addresses
  # and gateway endpoints (prefix lists) aren't ways out.
  def ways_out
    subnets.map do |subnet|
      routes(subnet).reject { |route| route.gateway_id == "local" || route.destination_prefix_list_id || endpoint?(route) }
        .map { |route| "#{destination(route)} by #{gateway(route)}" }.uniq.sort
    end.uniq
  end

  attr_reader :label

  private

  def ec2
    client(Aws::EC2::Client)
  end

  def subnets
    @found || []
  end

  def routes(subnet)
    tables = tables("association.subnet-id", subnet.subnet_id)
    # Without a table of its own a subnet has its VPC's.
    tables = tables("association.main", "true", "vpc-id", subnet.vpc_id) if tables.empty?
    tables.flat_map(&:routes)
  end

  def tables(*filters)
    pairs = filters.each_slice(2).map { |name, value| { name: name, values: [value] } }
    ask { ec2.describe_route_tables(filters: pairs).route_tables } || []
  end

  def endpoint?(route)
    route.gateway_id.to_s.start_with?("vpce-")
  end

  def destination(route)
    route.destination_cidr_block || route.destination_ipv_6_cidr_block
  end

  def gateway(route)
    (route.nat_gateway_id || route.gateway_id || route.transit_gateway_id || route.vpc_peering_connection_id ||
      route.network_interface_id || route.egress_only_internet_gateway_id).to_s.split("-").first
  end
end

# A VPC's NAT gateways, by where they are.
class LivetallyNat < LivetallyAws
  name "livetally_nat"
  desc "A VPC's NAT gateways that work."

  def initialize(vpc_id)
    super()
    @vpc_id = vpc_id
    @found = ask { ec2.describe_vpcs(vpc_ids: [vpc_id]).vpcs.first }
  end

  # How many subnets have one. (That each is in another zone is the subnets' own control.)
  def subnets
    gateways.map(&:subnet_id).uniq.length
  end

  def label
    "NAT of #{@vpc_id}"
  end

  private

  def ec2
    client(Aws::EC2::Client)
  end

  def gateways
    return [] unless @found

    filter = [{ name: "vpc-id", values: [@vpc_id] }, { name: "state", values: ["available"] }]
    ask { ec2.describe_nat_gateways(filter: filter).nat_gateways } || []
  end
end

# A security group's rules as sentences, so that `eq` says which there are and that there are no
# others. (The pack's `allow_in` can't say the latter, nor knows prefix lists.)
class LivetallySecurityGroup < LivetallyAws
  name "livetally_security_group"
  desc "All rules of a security group, as PROTOCOL PORTS PEER."

  # group_id:, or vpc_id: and group_name:
  def initialize(options)
    super()
    @label = "security group #{options[:group_id] || options[:group_name]}"
    filters = options.map { |name, value| { name: name.to_s.tr("_", "-"), values: [value] } }
    @found = ask { client(Aws::EC2::Client).describe_security_groups(filters: filters).security_groups.first }
  end

  def inbound
    rules(@found&.ip_permissions)
  end

  def outbound
    rules(@found&.ip_permissions_egress)
  end

  attr_reader :label

  private

  def rules(permissions)
    (permissions || []).flat_map do |each|
      protocol = each.ip_protocol == "-1" ? "all" : each.ip_protocol
      ports = [each.from_port, each.to_port].compact.uniq.join("-")
      peers(each).map { |peer| [protocol, ports, peer].reject(&:empty?).join(" ") }
    end.sort
  end

  def peers(each)
    each.ip_ranges.map(&:cidr_ip) + each.ipv_6_ranges.map(&:cidr_ipv_6) +
      each.prefix_list_ids.map { |list| prefix_list(list.prefix_list_id) } +
      each.user_id_group_pairs.map(&:group_id)
  end

  # AWS's own lists have names that are the same in every account.
  def prefix_list(id)
    lists = ask { client(Aws::EC2::Client).describe_managed_prefix_lists(prefix_list_ids: [id]).prefix_lists }
    lists&.first&.prefix_list_name || id
  end
end
