# frozen_string_literal: true

require "json"

# A volume of the compose project.
class LivetallyVolume < Inspec.resource(1)
  name "livetally_volume"
  desc "A volume of a compose project, as Docker has it."
  example "describe livetally_volume('livetally', 'postgres-data') { its('driver') { should eq 'local' } }"

  def initialize(project, volume)
    super()
    @volume = volume
    found = inspec.command("docker volume inspect #{project}_#{volume}")
    @inspected = found.exit_status.zero? ? JSON.parse(found.stdout).first : nil
  end

  def exist?
    !@inspected.nil?
  end

  def driver
    @inspected && @inspected["Driver"]
  end

  # Docker says null where there are none.
  def options
    @inspected && (@inspected["Options"] || {})
  end

  def to_s
    "volume #{@volume}"
  end
end
