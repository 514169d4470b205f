# frozen_string_literal: true

require "shellwords"

# What a server answers that only its own container can ask: nothing is published, and passwords stay
# where they are. Reports show the question, never the password.
class LivetallyInside < Inspec.resource(1)
  name "livetally_inside"
  desc "A command's answer, run in a container of a compose project."
  example "describe livetally_inside('livetally').sql('SELECT 1') { its('answer') { should eq '1' } }"

  POSTGRES = "PGPASSWORD=$(cat /run/secrets/owner/password) exec psql -XAtq -v ON_ERROR_STOP=1 " \
             "-h 127.0.0.1 -U livetally_owner -d livetally -c "
  REDIS_PASSWORD = "REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis/redis.conf) "

  # A question and what came back: `exist` is that it was answered at all.
  class Answer
    def initialize(question, command)
      @question = question
      @command = command
    end

    def exist?
      @command.exit_status.zero?
    end

    def answer
      @command.stdout.strip
    end

    def to_s
      @question
    end
  end

  def initialize(project)
    super()
    @project = project
  end

  def sql(query)
    run("postgres", query, POSTGRES + Shellwords.escape(query))
  end

  def redis(question)
    run("redis", question, "#{REDIS_PASSWORD} redis-cli #{question}")
  end

  # The same as somebody who doesn't know the password.
  def redis_stranger(question)
    run("redis", "#{question}, without a password", "redis-cli #{question}")
  end

  # The status of a request to a task of the service, past the proxy.
  def service_status(path)
    python = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080#{path}', timeout=5).status)"
    run("service", "GET #{path} of a task", "python -c #{Shellwords.escape(python)}")
  end

  # Restarts Postgres and waits until it answers again; to be asked only of who allows that.
  def restart_postgres
    wait = "until docker exec #{container("postgres")} pg_isready -q -h 127.0.0.1; do sleep 0.2; done"
    Answer.new("a restart of Postgres",
      inspec.command("docker restart #{container("postgres")} && timeout 60 sh -c #{Shellwords.escape(wait)}"))
  end

  def to_s
    "inside of #{@project}"
  end

  private

  def run(service, question, script)
    Answer.new(question, inspec.command("docker exec #{container(service)} sh -c #{Shellwords.escape(script)}"))
  end

  def container(service)
    "#{@project}-#{service}-1"
  end
end
