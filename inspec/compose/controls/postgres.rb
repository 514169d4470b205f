# frozen_string_literal: true

project = input("project")
inside = livetally_inside(project)

control "livetally-postgres-01" do
  impact 1.0
  title "Postgres is for inside only"
  desc "It is on the network of data (internal: livetally-container-11) and on no other, with no port on the host."
  desc "rationale", "Inside of one machine there is no wire to encrypt; what is not reachable needs no TLS."
  desc "fix", "postgres has `networks: [data]` and no `ports` in docker-compose.yml; data is internal."
  tag component: "postgres", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7 SC-8]
  ref "docker-compose.yml"
  describe livetally_containers(project, "postgres") do
    it { should exist }
    its("networks") { should eq ["data"] }
    its("published") { should eq [] }
  end
end

control "livetally-postgres-02" do
  impact 1.0
  title "Nobody gets in without a password"
  desc "Every line of pg_hba.conf asks for SCRAM: none trusts, none takes a password in the open or as MD5."
  desc "rationale", "The image's default trusts who comes over the socket."
  desc "fix", "POSTGRES_HOST_AUTH_METHOD and POSTGRES_INITDB_ARGS in docker-compose.yml; of a volume made before, pg_hba.conf itself."
  tag component: "postgres", cis: ["CIS PostgreSQL 16 1.0.0: 5"], nist: %w[IA-2 IA-5]
  ref "docker-compose.yml"
  describe inside.sql("SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE error IS NULL") do
    it { should exist }
    its("answer") { should eq "scram-sha-256" }
  end
  describe inside.sql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") do
    it { should exist }
    its("answer") { should eq "0" }
  end
end

control "livetally-postgres-03" do
  impact 0.8
  title "Passwords are kept as SCRAM"
  desc "New passwords are hashed with SCRAM, and so are all that are there."
  desc "rationale", "An MD5 hash is as good as the password itself to who steals it."
  desc "fix", "ALTER SYSTEM SET password_encryption = 'scram-sha-256', then set each password again (livetally migrate does the service's)."
  tag component: "postgres", cis: ["CIS PostgreSQL 16 1.0.0: 6"], nist: %w[IA-5 SC-28]
  ref "service/livetally/db/sql/service_role.sql"
  describe inside.sql("SHOW password_encryption") do
    it { should exist }
    its("answer") { should eq "scram-sha-256" }
  end
  describe inside.sql("SELECT count(*) FROM pg_authid WHERE rolcanlogin AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'") do
    it { should exist }
    its("answer") { should eq "0" }
  end
end

control "livetally-postgres-04" do
  impact 0.8
  title "The schema is the newest"
  desc "All migrations are applied, each once and in order."
  desc "rationale", "A service that is newer than its tables refuses to start; one that is older might not notice."
  desc "fix", "docker compose run --rm migrate."
  tag component: "postgres", cis: ["CIS Controls 8: 4.1"], nist: %w[CM-2 CM-3]
  ref "service/livetally/db/sql/migrations"
  describe inside.sql("SELECT string_agg(number::text, ' ' ORDER BY number) FROM migrations") do
    it { should exist }
    its("answer") { should eq (1..input("migrations")).to_a.join(" ") }
  end
end

control "livetally-postgres-05" do
  impact 1.0
  title "The service's role may read and write rows, and no more"
  desc "livetally_service is no superuser, makes no roles or databases, owns nothing, and no role lends it more."
  desc "rationale", "A hole in the service must not be a hole in the server: no COPY FROM PROGRAM, no DROP TABLE."
  desc "fix", "ALTER ROLE livetally_service NOSUPERUSER NOCREATEROLE …, REVOKE what it was granted; livetally migrate grants what it needs."
  tag component: "postgres", cis: ["CIS PostgreSQL 16 1.0.0: 4"], nist: %w[AC-6 AC-3]
  ref "service/livetally/db/sql/service_role.sql"
  describe inside.sql("SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'livetally_service'") do
    it { should exist }
    its("answer") { should eq "t|f|f|f|f|f" }
  end
  describe inside.sql("SELECT count(*) FROM pg_auth_members WHERE member = 'livetally_service'::regrole") do
    it { should exist }
    its("answer") { should eq "0" }
  end
  describe inside.sql("SELECT count(*) FROM pg_class WHERE relowner = 'livetally_service'::regrole") do
    it { should exist }
    its("answer") { should eq "0" }
  end
  describe inside.sql("SELECT has_schema_privilege('livetally_service', 'public', 'CREATE')") do
    it { should exist }
    its("answer") { should eq "f" }
  end
end

control "livetally-postgres-06" do
  impact 1.0
  title "An acknowledged event is on disk"
  desc "Commits wait for the disk, whole pages are written, and damage to a page is noticed."
  desc "rationale", "A 2xx answer means committed: with one of these off, a power cut makes it a lie."
  desc "fix", "ALTER SYSTEM RESET fsync (or the one that is off), restart; checksums are made at initdb (or by pg_checksums)."
  tag component: "postgres", cis: ["CIS Controls 8: 11.1"], nist: %w[SI-7 CP-9]
  ref "README.md, promises"
  { "fsync" => "on", "synchronous_commit" => "on", "full_page_writes" => "on", "data_checksums" => "on" }.each do |setting, value|
    describe inside.sql("SHOW #{setting}") do
      it { should exist }
      its("answer") { should eq value }
    end
  end
end

control "livetally-postgres-07" do
  impact 1.0
  title "Data is on a volume of its own"
  desc "The data directory is the named volume postgres-data, where Postgres really keeps its files."
  desc "rationale", "What is in the container's own layer ends with it, at the next docker compose up."
  desc "fix", "volumes under postgres in docker-compose.yml; move what was counted meanwhile by pg_dump."
  tag component: "postgres", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9 CP-10]
  ref "docker-compose.yml"
  describe livetally_containers(project, "postgres") do
    it { should exist }
    its("volumes") { should eq ["/var/lib/postgresql/data=postgres-data"] }
  end
  describe inside.sql("SHOW data_directory") do
    it { should exist }
    its("answer") { should eq "/var/lib/postgresql/data" }
  end
end

control "livetally-postgres-08" do
  impact 1.0
  title "The volume of data is on a disk"
  desc "It is one of Docker's own, local and without options: no file system in memory, none of another machine."
  desc "rationale", "A volume in memory looks like any other, until the first restart."
  desc "fix", "No driver and no driver_opts at postgres-data in docker-compose.yml; a volume keeps those it was made with."
  tag component: "postgres", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9 CP-10]
  ref "docker-compose.yml"
  describe livetally_volume(project, "postgres-data") do
    it { should exist }
    its("driver") { should eq "local" }
    its("options") { should eq({}) }
  end
end

# Last, because Postgres is away meanwhile.
control "livetally-postgres-09" do
  impact 1.0
  title "What is committed survives a restart"
  desc "A row is written, Postgres is restarted, and the row is there. Only with `disruptive: true`: the service answers 503 for seconds."
  desc "rationale", "The one way to know that the volume is what it says."
  desc "fix", "See livetally-postgres-06, -07 and -08."
  tag component: "postgres", cis: ["CIS Controls 8: 11.5"], nist: %w[CP-10 CP-4]
  ref "service/deploy/README.md"
  # Where there is no Postgres nothing is disrupted: that is red, not skipped.
  only_if("Postgres is restarted only where the input `disruptive` allows it") do
    input("disruptive") || !livetally_containers(project, "postgres").exist?
  end
  describe inside.sql("CREATE TABLE IF NOT EXISTS inspec_restart (kept text); INSERT INTO inspec_restart VALUES ('kept') RETURNING kept") do
    it { should exist }
    its("answer") { should eq "kept" }
  end
  describe inside.restart_postgres do
    it { should exist }
  end
  describe inside.sql("SELECT DISTINCT kept FROM inspec_restart") do
    it { should exist }
    its("answer") { should eq "kept" }
  end
  describe inside.sql("DROP TABLE inspec_restart") do
    it { should exist }
  end
end
