# frozen_string_literal: true

require "json"

# A network of the compose project.
class LivetallyNetwork < Inspec.resource(1)
  name "livetally_network"
  desc "A network of a compose project, as Docker has it."
  example "describe livetally_network('livetally', 'data') { it { should be_internal } }"

  def initialize(project, network)
    super()
    @network = network
    found = inspec.command("docker network inspect #{project}_#{network}")
    @inspected = found.exit_status.zero? ? JSON.parse(found.stdout).first : {}
  end

  def exist?
    !@inspected.empty?
  end

  def internal?
    @inspected["Internal"] == true
  end

  def to_s
    "network #{@network}"
  end
end
