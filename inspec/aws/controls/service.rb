# frozen_string_literal: true

cluster = input("cluster_name")
# By name, so that one that isn't given is missed.
tasks = %w[web worker migrate].to_h { |name| [name, input("task_definition_arns")[name]] }
services = %w[web worker].to_h { |name| [name, input("service_names")[name]] }

control "livetally-ecs-01" do
  impact 0.5
  title "The cluster is measured"
  desc "Container insights are on."
  desc "rationale", "CPU and memory of tasks are the first two questions of every incident."
  desc "fix", "setting containerInsights in modules/service."
  tag component: "service", cis: ["CIS Controls 8: 8.2"], nist: %w[SI-4 AU-12]
  ref "terraform/modules/service"
  describe livetally_cluster(cluster) do
    it { should exist }
    its("container_insights") { should eq "enabled" }
  end
end

control "livetally-ecs-02" do
  impact 1.0
  title "Tasks aren't root, and can't become it"
  desc "Each task is one container with a user of its own, unprivileged, all capabilities dropped, none added."
  desc "rationale", "Root in a container is one hole of the kernel away from root of the machine."
  desc "fix", "container_definitions in modules/service."
  tag component: "service", cis: ["CIS Docker 1.6.0: 4.1", "CIS Docker 1.6.0: 5.4", "CIS Docker 1.6.0: 5.5"], nist: %w[AC-6 CM-7]
  ref "terraform/modules/service"
  tasks.each_value do |task|
    describe livetally_task(task) do
      it { should exist }
      its("containers") { should eq 1 }
      its("user") { should eq "10001:10001" }
      its("privileged") { should eq false }
      its("dropped_capabilities") { should eq ["ALL"] }
      its("added_capabilities") { should eq [] }
    end
  end
end

control "livetally-ecs-03" do
  impact 0.7
  title "Tasks can't change what they run"
  desc "Root file systems are read-only."
  desc "rationale", "Who gets in can't leave anything behind."
  desc "fix", "readonlyRootFilesystem in modules/service."
  tag component: "service", cis: ["CIS Docker 1.6.0: 5.13"], nist: %w[CM-5 SI-7]
  ref "terraform/modules/service"
  tasks.each_value do |task|
    describe livetally_task(task) do
      it { should exist }
      its("read_only") { should eq true }
    end
  end
end

control "livetally-ecs-04" do
  impact 1.0
  title "Passwords come from Secrets Manager"
  desc "No plain variable holds one; each task gets the secrets it needs, and only migrate the owner's."
  desc "rationale", "Plain variables are in the console, in the API and in every plan."
  desc "fix", "secrets and environment of modules/service in terraform/main.tf."
  tag component: "service", cis: ["CIS Controls 8: 3.11"], nist: %w[IA-5 SC-28 AC-6]
  ref "terraform/modules/service"
  service_secrets = [input("database_service_secret_arn"), input("cache_password_secret_arn")]
  {
    "web" => service_secrets,
    "worker" => service_secrets,
    "migrate" => [*service_secrets, input("database_owner_secret_arn")],
  }.each do |task, secrets|
    describe livetally_task(tasks[task]) do
      it { should exist }
      its("secret_variables") { should eq [] }
      its("secret_sources") { should eq secrets.sort }
    end
  end
end

control "livetally-ecs-05" do
  impact 1.0
  title "Tasks have no public address"
  desc "They run in the private subnets with the service's group, and without a public address."
  desc "rationale", "What has a public address is one rule away from the internet."
  desc "fix", "network_configuration in modules/service."
  tag component: "service", cis: ["CIS Controls 8: 12.2"], nist: %w[SC-7]
  ref "terraform/modules/service"
  services.each_value do |service|
    describe livetally_service(cluster: cluster, service: service) do
      it { should exist }
      its("public_ip") { should eq "DISABLED" }
      its("subnet_ids") { should eq input("private_subnet_ids").sort }
      its("security_group_ids") { should eq [input("security_group_ids")["service"]] }
    end
  end
end

control "livetally-ecs-06" do
  impact 0.8
  title "Nobody has a shell in a task"
  desc "ECS Exec is off; the cluster would log its sessions, encrypted."
  desc "rationale", "A shell in production is for the hour that needs it: a waiver with a date."
  desc "fix", "exec_enabled = false; terraform apply. See waivers/exec.yml."
  tag component: "service", cis: ["CIS Controls 8: 4.8"], nist: %w[AC-6 AC-17 CM-7]
  ref "terraform/modules/service"
  services.each_value do |service|
    describe livetally_service(cluster: cluster, service: service) do
      it { should exist }
      its("exec_enabled") { should eq false }
    end
  end
  describe livetally_cluster(cluster) do
    it { should exist }
    its("exec_kms_key_id") { should eq input("kms_key_arn") }
    its("exec_log_group_name") { should eq input("log_group_names")["exec"] }
  end
end

control "livetally-ecs-07" do
  impact 0.8
  title "A bad deploy takes itself back"
  desc "The circuit breaker rolls back, so do two alarms of web's, and there are never fewer tasks than before."
  desc "rationale", "Viewers must not pay for a release that doesn't start."
  desc "fix", "deployment_circuit_breaker and deployment_minimum_healthy_percent in modules/service."
  tag component: "service", cis: ["CIS Controls 8: 4.1"], nist: %w[CM-3 CP-10]
  ref "terraform/modules/service"
  services.each_value do |service|
    describe livetally_service(cluster: cluster, service: service) do
      it { should exist }
      its("circuit_breaker") { should eq [true, true] }
      its("minimum_healthy_percent") { should eq 100 }
    end
  end
  describe livetally_service(cluster: cluster, service: services["web"]) do
    it { should exist }
    its("deployment_alarms") { should eq input("alarm_names").values_at("no-healthy-host", "target-5xx").sort }
  end
end

control "livetally-ecs-08" do
  impact 0.7
  title "Tasks have the time to let viewers go"
  desc "Between SIGTERM and SIGKILL there are as many seconds as declared: more than the task's own draining, flushing and answering take."
  desc "rationale", "A killed task cuts all its websockets at once, and they all come back in the same second."
  desc "fix", "stop_timeout_s and drain_s in terraform/main.tf."
  tag component: "service", cis: ["CIS Controls 8: 4.1"], nist: %w[CP-10 SC-5]
  ref "terraform/modules/service"
  tasks.each_value do |task|
    describe livetally_task(task) do
      it { should exist }
      its("stop_timeout_s") { should eq input("stop_timeout_s") }
    end
  end
  describe livetally_task(tasks["web"]) do
    it { should exist }
    its("drain_s") { should eq input("drain_s") }
  end
  describe "the time to drain, with 17 s to flush and answer" do
    subject { input("stop_timeout_s") - input("drain_s") - 17 }
    it { should be_a(Integer).and be > 0 }
  end
end

control "livetally-ecs-09" do
  impact 0.7
  title "Tasks log to their own group, and never wait for it"
  desc "Driver awslogs, non-blocking, each to the group of its name."
  desc "rationale", "A task that waits for CloudWatch counts nothing."
  desc "fix", "logConfiguration in modules/service."
  tag component: "service", cis: ["CIS Controls 8: 8.2"], nist: %w[AU-2 AU-12]
  ref "terraform/modules/service"
  tasks.each do |name, task|
    describe livetally_task(task) do
      it { should exist }
      its("log_driver") { should eq "awslogs" }
      its("log_options") { should include "awslogs-group" => input("log_group_names")[name], "mode" => "non-blocking" }
    end
  end
end

control "livetally-ecs-10" do
  impact 0.5
  title "Tasks come quickly and go slowly"
  desc "Every policy that scales waits 15 minutes before it takes tasks away."
  desc "rationale", "Each task that goes makes its viewers move."
  desc "fix", "scale_in_cooldown in modules/service/autoscaling.tf."
  tag component: "service", cis: ["CIS Controls 8: 4.1"], nist: %w[SC-5 CP-2]
  ref "terraform/modules/service"
  services.each_value do |service|
    describe livetally_service(cluster: cluster, service: service) do
      it { should exist }
      its("scale_in_cooldowns") { should eq [900] }
    end
  end
end

control "livetally-ecs-11" do
  impact 0.9
  title "What runs is what was looked at"
  desc "Each service runs the revision of its task that Terraform has made, which the other controls are about."
  desc "rationale", "A revision registered by hand may do anything: none of these checks has seen it."
  desc "fix", "terraform apply; after a deploy that took itself back, first find out why (terraform/README.md)."
  tag component: "service", cis: ["CIS Controls 8: 4.1"], nist: %w[CM-2 CM-3 SI-7]
  ref "terraform/modules/service"
  services.each do |name, service|
    describe livetally_service(cluster: cluster, service: service) do
      it { should exist }
      its("task_definition") { should eq tasks[name] }
    end
  end
end

control "livetally-ecr-01" do
  impact 0.9
  title "An image is what it was, and is looked through"
  desc "Tags can't be moved, pushes are scanned, images are encrypted with our key."
  desc "rationale", "What was tested is what runs."
  desc "fix", "aws_ecr_repository in modules/service."
  tag component: "service", cis: ["CIS Controls 8: 7.5"], nist: %w[SI-7 RA-5 CM-2]
  ref "terraform/modules/service"
  describe livetally_repository(input("repository_name")) do
    it { should exist }
    its("tags") { should eq "IMMUTABLE" }
    its("scanned") { should eq true }
    its("encryption") { should eq ["KMS", input("kms_key_arn")] }
  end
end

control "livetally-iam-01" do
  impact 1.0
  title "Only ECS takes the tasks' roles, and only ours"
  desc "Trust is ECS's tasks, on behalf of this account."
  desc "rationale", "A role that somebody else's cluster can take is everybody's."
  desc "fix", "aws_iam_policy_document.assume in modules/service/roles.tf."
  tag component: "service", cis: ["CIS Controls 8: 5.4"], nist: %w[AC-6 IA-2]
  ref "terraform/modules/service"
  %w[web worker migrate execution-web execution-worker execution-migrate].each do |role|
    describe livetally_role(input("role_names")[role]) do
      it { should exist }
      its("trusted") { should eq ["ecs-tasks.amazonaws.com"] }
      its("bound_to_account") { should eq true }
    end
  end
end

control "livetally-iam-02" do
  impact 1.0
  title "Tasks may do what they need, to what is named"
  desc "No task's role has an action or a resource with a star of its own, a secret, or a policy of AWS's."
  desc "rationale", "What a hole in the service can reach is what its role can reach."
  desc "fix", "modules/service/roles.tf; terraform apply."
  tag component: "service", cis: ["CIS AWS 3.0.0: 1.16"], nist: %w[AC-6 AC-3]
  ref "terraform/modules/service"
  %w[web worker migrate].each do |role|
    describe livetally_role(input("role_names")[role]) do
      it { should exist }
      its("wildcard_actions") { should eq [] }
      its("actions_on_everything") { should eq [] }
      its("secrets") { should eq [] }
      its("attached_policies") { should eq [] }
    end
  end
end

control "livetally-iam-03" do
  impact 1.0
  title "Starting a task takes little"
  desc "Only signing in to ECR is for all resources; secrets are those of the task, the owner's only for migrate."
  desc "rationale", "The owner's password opens everything."
  desc "fix", "modules/service/roles.tf; terraform apply."
  tag component: "service", cis: ["CIS AWS 3.0.0: 1.16"], nist: %w[AC-6 IA-5]
  ref "terraform/modules/service"
  passwords = [input("database_service_secret_arn"), input("cache_password_secret_arn")]
  {
    "execution-web" => passwords,
    "execution-worker" => passwords,
    "execution-migrate" => [*passwords, input("database_owner_secret_arn")],
  }.each do |role, secrets|
    describe livetally_role(input("role_names")[role]) do
      it { should exist }
      its("wildcard_actions") { should eq [] }
      its("actions_on_everything") { should eq ["ecr:GetAuthorizationToken"] }
      its("secrets") { should eq secrets.sort }
      its("attached_policies") { should eq [] }
    end
  end
end
