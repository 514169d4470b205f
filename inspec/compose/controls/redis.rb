# frozen_string_literal: true

project = input("project")
inside = livetally_inside(project)

control "livetally-redis-01" do
  impact 1.0
  title "Redis is for inside only"
  desc "It is on the network of data (internal: livetally-container-11) and on no other, with no port on the host."
  desc "rationale", "An open Redis is found within minutes, and is a way to run code."
  desc "fix", "redis has `networks: [data]` and no `ports` in docker-compose.yml; data is internal."
  tag component: "redis", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "docker-compose.yml"
  describe livetally_containers(project, "redis") do
    it { should exist }
    its("networks") { should eq ["data"] }
    its("published") { should eq [] }
  end
end

control "livetally-redis-02" do
  impact 1.0
  title "Redis answers nobody without the password"
  desc "Who doesn't know it gets NOAUTH, who does gets an answer."
  desc "rationale", "Every container on the network of data could else read what is counted, and forge it."
  desc "fix", "requirepass in service/deploy/make-secrets; docker compose up --force-recreate redis."
  tag component: "redis", cis: ["CIS Controls 8: 3.3"], nist: %w[IA-2 AC-3]
  ref "service/deploy/make-secrets"
  describe inside.redis_stranger("ping") do
    it { should exist }
    its("answer") { should eq "NOAUTH Authentication required." }
  end
  describe inside.redis("ping") do
    it { should exist }
    its("answer") { should eq "PONG" }
  end
end

control "livetally-redis-03" do
  impact 0.6
  title "Redis's memory is bounded, and nothing is thrown out silently"
  desc "At most 128 MB; what doesn't fit is refused rather than something else forgotten."
  desc "rationale", "Evicted token buckets would lift limits; an unbounded Redis is killed by the container's limit."
  desc "fix", "maxmemory and maxmemory-policy in service/deploy/make-secrets."
  tag component: "redis", cis: ["CIS Controls 8: 4.1"], nist: %w[SC-5]
  ref "service/deploy/make-secrets"
  { "maxmemory" => (128 * 1024 * 1024).to_s, "maxmemory-policy" => "noeviction" }.each do |setting, value|
    describe inside.redis("config get #{setting}") do
      it { should exist }
      its("answer") { should eq "#{setting}\n#{value}" }
    end
  end
end

control "livetally-redis-04" do
  impact 0.4
  title "Redis keeps nothing"
  desc "No snapshots and no log of commands: it carries messages, and what counts is in Postgres."
  desc "rationale", "What isn't written can't be stolen from a disk, nor be stale after a restart."
  desc "fix", "save \"\" and appendonly no in service/deploy/make-secrets; no volume for /data."
  tag component: "redis", cis: ["CIS Controls 8: 3.1"], nist: %w[SC-28]
  ref "service/deploy/make-secrets"
  { "save" => "", "appendonly" => "no" }.each do |setting, value|
    describe inside.redis("config get #{setting}") do
      it { should exist }
      its("answer") { should eq "#{setting}\n#{value}".strip }
    end
  end
  describe livetally_containers(project, "redis") do
    it { should exist }
    its("volumes") { should eq [] }
  end
end
