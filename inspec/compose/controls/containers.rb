# frozen_string_literal: true

project = input("project")
# Keys are symbols from inspec.yml and strings from an input file. Of a service that such a file
# leaves out nothing is expected, and so nothing is well.
by_name = lambda do |given, names|
  given = given.to_h { |name, expected| [name.to_s, expected.transform_keys(&:to_s)] }
  names.to_h { |name| [name, given.fetch(name, {})] }
end
services = by_name.call(input("services"), %w[postgres redis service proxy worker aws])
once = by_name.call(input("once"), %w[secrets migrate aws-setup])
all = services.merge(once)
# Where Postgres and Redis can be reached from is livetally-postgres-01's and livetally-redis-01's.
others = all.except("postgres", "redis")

control "livetally-container-01" do
  impact 1.0
  title "Everything runs and is healthy"
  desc "Each service has as many containers as it should, all running and healthy by their own check."
  desc "rationale", "A container that restarts in a loop looks alive in a list; its health check says otherwise."
  desc "fix", "docker compose ps, then docker compose logs SERVICE; docker compose up --detach --wait."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.27"], nist: %w[CP-10 SI-17]
  ref "service/deploy/README.md"
  services.each do |service, expected|
    describe livetally_containers(project, service) do
      it { should exist }
      its("count") { should eq expected["tasks"] }
      its("states") { should eq ["running"] }
      its("healths") { should eq ["healthy"] }
    end
  end
end

control "livetally-container-02" do
  impact 0.8
  title "What runs once has succeeded"
  desc "Passwords were made, the schema was brought up to date and queues were made: each ended with 0."
  desc "rationale", "The service would start against a schema of yesterday, or with a password of nobody's."
  desc "fix", "docker compose logs secrets migrate aws-setup; docker compose up --detach --wait."
  tag component: "containers", cis: ["CIS Controls 8: 4.1"], nist: %w[CM-2 CM-6]
  ref "service/deploy/README.md"
  once.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("count") { should eq 1 }
      its("states") { should eq ["exited"] }
      its("exit_codes") { should eq [0] }
    end
  end
end

control "livetally-container-03" do
  impact 0.7
  title "Containers run the images that are meant"
  desc "Image and tag are exactly those of docker-compose.yml."
  desc "rationale", "An image somebody tried out and forgot is code that nobody looked at."
  desc "fix", "Set the image back in docker-compose.yml or .env; docker compose up --detach."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 4.2"], nist: %w[CM-2 CM-7 SI-7]
  ref "docker-compose.yml"
  all.each do |service, expected|
    describe livetally_containers(project, service) do
      it { should exist }
      its("images") { should eq [expected["image"]] }
    end
  end
end

control "livetally-container-04" do
  impact 1.0
  title "Nobody is root"
  desc "Each container runs as its own fixed user, by number."
  desc "rationale", "Root in a container is one hole of the kernel away from root of the machine."
  desc "fix", "Set `user:` in docker-compose.yml (or USER in the Dockerfile) back."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 4.1"], nist: %w[AC-6 CM-7]
  ref "docker-compose.yml"
  all.each do |service, expected|
    describe livetally_containers(project, service) do
      it { should exist }
      its("users") { should eq [expected["user"]] }
    end
  end
end

control "livetally-container-05" do
  impact 0.7
  title "Root file systems are read-only"
  desc "Containers write only to their volumes and to memory (tmpfs)."
  desc "rationale", "Who gets in can't leave anything behind, nor change what runs."
  desc "fix", "read_only: true in docker-compose.yml; a place that must be written is a tmpfs or a volume."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.13"], nist: %w[CM-5 SI-7]
  ref "docker-compose.yml"
  all.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("read_only") { should eq [true] }
    end
  end
end

control "livetally-container-06" do
  impact 1.0
  title "No capabilities, and not privileged"
  desc "All capabilities are dropped, none is added, no container is privileged."
  desc "rationale", "None of the programs needs what root may do beyond others: ports are above 1024, users are fixed."
  desc "fix", "cap_drop: [ALL], no cap_add, no privileged in docker-compose.yml."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.4", "CIS Docker 1.6.0: 5.5"], nist: %w[AC-6 CM-7]
  ref "docker-compose.yml"
  all.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("cap_drop") { should eq ["ALL"] }
      its("cap_add") { should eq [] }
      its("privileged") { should eq [false] }
    end
  end
end

control "livetally-container-07" do
  impact 0.7
  title "No new privileges"
  desc "A setuid program gives nobody more rights; AppArmor's and seccomp's own profiles are not switched off."
  desc "rationale", "It closes the way from any user to root inside the container."
  desc "fix", "security_opt: [\"no-new-privileges:true\"] and nothing else in docker-compose.yml."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.26"], nist: %w[AC-6]
  ref "docker-compose.yml"
  all.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("security_options") { should eq ["no-new-privileges:true"] }
    end
  end
end

control "livetally-container-08" do
  impact 0.5
  title "Memory, CPU and processes are limited"
  desc "Each has one CPU, its own memory and its own number of processes."
  desc "rationale", "One that runs wild must not take Postgres with it."
  desc "fix", "deploy.resources.limits in docker-compose.yml; POSTGRES_MEMORY and LIVETALLY_MEMORY in .env, and the input `services`."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.11", "CIS Docker 1.6.0: 5.12", "CIS Docker 1.6.0: 5.29"], nist: %w[SC-5 SC-6]
  ref "docker-compose.yml"
  services.each do |service, expected|
    describe livetally_containers(project, service) do
      it { should exist }
      its("memory_mib") { should eq [expected["memory"].to_f] }
      its("cpus") { should eq [1.0] }
      its("pids_limits") { should eq [expected["pids"]] }
    end
  end
end

control "livetally-container-09" do
  impact 1.0
  title "Only the proxy is published, and only on this machine"
  desc "The proxy's port is bound to 127.0.0.1; nothing else has a port on the host (Postgres and Redis: their own controls)."
  desc "rationale", "Docker's published ports go round the host's firewall: 0.0.0.0 is the world."
  desc "fix", "ports only under `proxy` in docker-compose.yml, with 127.0.0.1 before them; TLS is for what stands in front."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.9", "CIS Docker 1.6.0: 5.14"], nist: %w[SC-7 AC-4]
  ref "docker-compose.yml"
  others.except("proxy").each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("published") { should eq [] }
    end
  end
  describe livetally_containers(project, "proxy") do
    it { should exist }
    its("published") { should eq ["127.0.0.1:#{URI(input("url")).port}->8080/tcp"] }
  end
end

control "livetally-container-10" do
  impact 1.0
  title "Each is only on the networks it needs"
  desc "Networks are exactly those of docker-compose.yml; nobody uses the host's."
  desc "rationale", "The proxy can't reach Postgres, whatever is asked of it: it isn't on that network."
  desc "fix", "networks in docker-compose.yml; docker network disconnect what was connected by hand."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.10"], nist: %w[SC-7 AC-4]
  ref "docker-compose.yml"
  others.each do |service, expected|
    describe livetally_containers(project, service) do
      it { should exist }
      its("networks") { should eq expected["networks"] }
      its("host_namespaces") { should eq [] }
    end
  end
end

control "livetally-container-11" do
  impact 1.0
  title "Networks of data lead nowhere"
  desc "front, data and observe are internal; only edge, the proxy's, leads outside."
  desc "rationale", "Who gets into a task of the service can't send what it finds anywhere."
  desc "fix", "internal: true in docker-compose.yml; docker compose down, then up."
  tag component: "containers", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "docker-compose.yml"
  %w[front data observe].each do |network|
    describe livetally_network(project, network) do
      it { should exist }
      it { should be_internal }
    end
  end
end

control "livetally-container-12" do
  impact 0.9
  title "The host's files can't be written to"
  desc "What is mounted of the host is read-only, and the engine's socket is nobody's."
  desc "rationale", "Who has Docker's socket is root of the machine."
  desc "fix", ":ro at each bind mount in docker-compose.yml."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.6", "CIS Docker 1.6.0: 5.32"], nist: %w[AC-6 CM-5]
  ref "docker-compose.yml"
  all.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("open_binds") { should eq [] }
    end
  end
end

control "livetally-container-13" do
  impact 0.5
  title "Containers come back, and their logs don't fill the disk"
  desc "They are started again unless somebody stopped them; logs are three files of 10 MB."
  desc "rationale", "A full disk stops Postgres; a machine that restarts at night should count in the morning."
  desc "fix", "restart: unless-stopped and logging.options in docker-compose.yml."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 5.15"], nist: %w[AU-4 CP-10]
  ref "docker-compose.yml"
  services.each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("restart_policies") { should eq ["unless-stopped"] }
      its("logs") { should eq ["json-file 10m 3"] }
    end
  end
end

control "livetally-container-14" do
  impact 0.9
  title "Passwords are in files, not in the environment"
  desc "No environment variable of Livetally's, Postgres's or Redis's holds a password or an address with one."
  desc "rationale", "The environment is in docker inspect, in crash reports and in every child process."
  desc "fix", "NAME_FILE: /run/secrets/… in docker-compose.yml instead of NAME."
  tag component: "containers", cis: ["CIS Docker 1.6.0: 4.10"], nist: %w[IA-5 SC-28]
  ref "service/deploy/make-secrets"
  # What talks to the simulated AWS has a key that opens nothing: it takes any.
  all.except("worker", "aws-setup").each_key do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("secret_variables") { should eq [] }
    end
  end
  %w[worker aws-setup].each do |service|
    describe livetally_containers(project, service) do
      it { should exist }
      its("secret_variables") { should eq ["AWS_SECRET_ACCESS_KEY"] }
    end
  end
end
