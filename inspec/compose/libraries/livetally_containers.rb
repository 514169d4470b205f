# frozen_string_literal: true

require "json"

# All containers of one service of the compose project. Properties are what they have, each value
# once, sorted: `eq` then says what every one of them has, and that there is nothing else.
class LivetallyContainers < Inspec.resource(1)
  name "livetally_containers"
  desc "The containers of one service of a compose project, as Docker runs them."
  example "describe livetally_containers('livetally', 'redis') { its('images') { should eq ['redis:7-bookworm'] } }"

  def initialize(project, service)
    super()
    @project = project
    @service = service
  end

  def exist?
    !containers.empty?
  end

  def count
    containers.length
  end

  def states
    each_of("State", "Status")
  end

  def healths
    each_of("State", "Health", "Status")
  end

  def exit_codes
    each_of("State", "ExitCode")
  end

  def images
    each_of("Config", "Image")
  end

  def users
    each_of("Config", "User")
  end

  def read_only
    each_of("HostConfig", "ReadonlyRootfs")
  end

  def privileged
    each_of("HostConfig", "Privileged")
  end

  def cap_drop
    lists_of("HostConfig", "CapDrop")
  end

  def cap_add
    lists_of("HostConfig", "CapAdd")
  end

  def security_options
    lists_of("HostConfig", "SecurityOpt")
  end

  def memory_mib
    distinct(containers.map { |each| each.dig("HostConfig", "Memory") / 1024.0**2 })
  end

  def cpus
    distinct(containers.map { |each| each.dig("HostConfig", "NanoCpus") / 1e9 })
  end

  def pids_limits
    each_of("HostConfig", "PidsLimit")
  end

  def restart_policies
    each_of("HostConfig", "RestartPolicy", "Name")
  end

  # Driver, size and number of log files: what a container may fill of the disk.
  def logs
    distinct(containers.map do |each|
      config = each.dig("HostConfig", "LogConfig")
      [config["Type"], config.dig("Config", "max-size"), config.dig("Config", "max-file")].join(" ")
    end)
  end

  # HOST-ADDRESS:PORT->PORT/PROTOCOL of what is published; what is only exposed isn't here.
  def published
    distinct(containers.flat_map do |each|
      (each.dig("HostConfig", "PortBindings") || {}).flat_map do |inside, outside|
        outside.map { |to| "#{to["HostIp"]}:#{to["HostPort"]}->#{inside}" }
      end
    end)
  end

  # Networks by their names in the compose file.
  def networks
    distinct(containers.flat_map do |each|
      each.dig("NetworkSettings", "Networks").keys.map { |name| name.delete_prefix("#{@project}_") }
    end)
  end

  # The host's own namespaces that a container sees: none, if all is well.
  def host_namespaces
    distinct(containers.flat_map do |each|
      %w[NetworkMode PidMode IpcMode UTSMode UsernsMode].select { |kind| each.dig("HostConfig", kind) == "host" }
    end)
  end

  # Places of the host's file system that can be written to, or are the engine's own socket.
  def open_binds
    distinct(mounts.select { |mount| mount["Type"] == "bind" && (mount["RW"] || mount["Source"].end_with?("docker.sock")) }
      .map { |mount| mount["Source"] })
  end

  # PLACE=VOLUME of named volumes that can be written to.
  def volumes
    distinct(mounts.select { |mount| mount["Type"] == "volume" && mount["RW"] }
      .map { |mount| "#{mount["Destination"]}=#{mount["Name"].delete_prefix("#{@project}_")}" })
  end

  # Names of environment variables that hold a secret in the open (NAME_FILE names a file instead).
  def secret_variables
    distinct(containers.flat_map { |each| each.dig("Config", "Env") || [] }
      .map { |pair| pair.split("=", 2) }
      .select { |name, value| name.match?(/PASSWORD|SECRET|TOKEN|DATABASE_URL|REDIS_URL/) && !value.empty? }
      .map(&:first).reject { |name| name.end_with?("_FILE") })
  end

  def to_s
    "containers of #{@service}"
  end

  private

  def containers
    @containers ||= inspect_all
  end

  def inspect_all
    labels = { project: @project, service: @service, oneoff: "False" }
    filters = labels.map { |name, value| "--filter label=com.docker.compose.#{name}=#{value}" }.join(" ")
    ids = inspec.command("docker ps --all --quiet --no-trunc #{filters}").stdout.split
    ids.empty? ? [] : JSON.parse(inspec.command("docker inspect #{ids.sort.join(" ")}").stdout)
  end

  def mounts
    containers.flat_map { |each| each["Mounts"] || [] }
  end

  def each_of(*path)
    distinct(containers.map { |each| each.dig(*path) })
  end

  def lists_of(*path)
    distinct(containers.flat_map { |each| each.dig(*path) || [] })
  end

  def distinct(values)
    values.uniq.sort_by(&:to_s)
  end
end
