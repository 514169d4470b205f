# frozen_string_literal: true

load_balancer = input("load_balancer_arn")
listeners = input("listener_arns")

control "livetally-alb-01" do
  impact 1.0
  title "TLS 1.2 and 1.3 only, with good ciphers"
  desc "The HTTPS listener has AWS's policy of 2021 with TLS 1.3, and a certificate."
  desc "rationale", "Older protocols can be broken."
  desc "fix", "ssl_policy in modules/edge."
  tag component: "edge", cis: ["CIS Controls 8: 3.10"], nist: %w[SC-8 SC-13]
  ref "terraform/modules/edge"
  describe livetally_listener(listeners["https"]) do
    it { should exist }
    its("protocol") { should eq "HTTPS" }
    its("port") { should eq 443 }
    its("ssl_policy") { should eq "ELBSecurityPolicy-TLS13-1-2-2021-06" }
    its("certificates") { should eq 1 }
  end
end

control "livetally-alb-02" do
  impact 0.9
  title "Plain HTTP is only redirected"
  desc "Port 80 answers 301 to HTTPS, and nothing else."
  desc "rationale", "A key sent in the open is a key lost."
  desc "fix", "aws_lb_listener.http in modules/edge."
  tag component: "edge", cis: ["CIS Controls 8: 3.10"], nist: %w[SC-8]
  ref "terraform/modules/edge"
  describe livetally_listener(listeners["http"]) do
    it { should exist }
    its("protocol") { should eq "HTTP" }
    its("default_action") { should eq "redirect HTTP_301 to HTTPS 443" }
    its("rules") { should eq [] }
  end
end

control "livetally-alb-03" do
  impact 0.8
  title "Silent websockets live"
  desc "The load balancer waits as long as declared, in which the service pings twice."
  desc "rationale", "A viewer with nothing to see must not be cut every minute."
  desc "fix", "idle_timeout_s and ping_interval_s in terraform/main.tf."
  tag component: "edge", cis: ["CIS Controls 8: 4.1"], nist: %w[SC-5]
  ref "terraform/modules/edge"
  describe livetally_load_balancer(load_balancer) do
    it { should exist }
    its("idle_timeout_s") { should eq input("idle_timeout_s") }
    its("idle_timeout_s") { should be_a(Integer).and be > 2 * input("ping_interval_s") }
  end
  describe livetally_task(input("task_definition_arns")["web"]) do
    it { should exist }
    its("ping_interval_s") { should eq input("ping_interval_s") }
  end
end

control "livetally-alb-04" do
  impact 0.7
  title "Leaving tasks are left time, and nobody sticks to one"
  desc "Deregistration takes as long as declared, 60 to 90 s and no less than draining; stickiness is off; /healthz decides."
  desc "rationale", "Viewers are moved, not cut; a new task gets its share."
  desc "fix", "deregistration_delay_s and drain_s in terraform/main.tf."
  tag component: "edge", cis: ["CIS Controls 8: 4.1"], nist: %w[SC-5 CP-10]
  ref "terraform/modules/edge"
  describe livetally_target_group(input("target_group_arn")) do
    it { should exist }
    its("deregistration_delay_s") { should eq input("deregistration_delay_s") }
    its("deregistration_delay_s") { should be_a(Integer).and be_between(60, 90).and be >= input("drain_s") }
    its("stickiness") { should eq "false" }
    its("health_check_path") { should eq "/healthz" }
  end
end

control "livetally-alb-05" do
  impact 0.8
  title "Requests that aren't what they seem are refused"
  desc "Invalid headers are dropped, and requests that two servers could read differently are not passed on."
  desc "rationale", "Request smuggling is how one viewer reads another's answers."
  desc "fix", "drop_invalid_header_fields and desync_mitigation_mode in modules/edge."
  tag component: "edge", cis: ["CIS Controls 8: 13.10"], nist: %w[SC-7 SI-10]
  ref "terraform/modules/edge"
  describe livetally_load_balancer(load_balancer) do
    it { should exist }
    its("drop_invalid_headers") { should eq "true" }
    its("desync_mitigation") { should eq "defensive" }
  end
end

control "livetally-alb-06" do
  impact 0.7
  title "The load balancer logs requests and connections"
  desc "Both go to the bucket of logs."
  desc "rationale", "Who asked what, and what never got as far as a request."
  desc "fix", "access_logs and connection_logs in modules/edge."
  tag component: "edge", cis: ["CIS Controls 8: 8.2"], nist: %w[AU-2 AU-12]
  ref "terraform/modules/edge"
  describe livetally_load_balancer(load_balancer) do
    it { should exist }
    its("access_logs") { should eq ["true", input("logs_bucket_name")] }
    its("connection_logs") { should eq ["true", input("logs_bucket_name")] }
  end
end

control "livetally-alb-07" do
  impact 0.7
  title "The load balancer can't be deleted by a slip"
  desc "Deletion protection is as declared; prod must declare it."
  desc "rationale", "Its address is in everybody's DNS."
  desc "fix", "deletion_protection in environments/ENVIRONMENT.tfvars."
  tag component: "edge", cis: ["CIS Controls 8: 11.1"], nist: %w[CM-3 CP-10]
  ref "terraform/modules/edge"
  describe livetally_load_balancer(load_balancer) do
    it { should exist }
    its("deletion_protection") { should eq input("deletion_protection").to_s }
  end
end

control "livetally-alb-08" do
  impact 0.8
  title "Metrics are for inside only"
  desc "/metrics is answered with 404; everything else goes to the tasks."
  desc "rationale", "They tell how much is counted, for how many, and what fails."
  desc "fix", "aws_lb_listener_rule.private in modules/edge."
  tag component: "edge", cis: ["CIS Controls 8: 4.8"], nist: %w[AC-3 SC-7]
  ref "terraform/modules/edge"
  describe livetally_listener(listeners["https"]) do
    it { should exist }
    its("default_action") { should eq "forward" }
    its("rules") { should eq ["/metrics: answer 404"] }
  end
end

control "livetally-waf-01" do
  impact 0.9
  title "A web ACL stands before the load balancer"
  desc "AWS's three groups of rules decide, and one address can't ask without end."
  desc "rationale", "Scanners, known bad inputs and floods are refused before they cost a task anything."
  desc "fix", "modules/edge/firewall.tf."
  tag component: "edge", cis: ["CIS Controls 8: 13.10"], nist: %w[SC-5 SC-7 SI-3]
  ref "terraform/modules/edge"
  describe livetally_web_acl(load_balancer) do
    it { should exist }
    its("arn") { should eq input("web_acl_arn") }
    its("managed_groups") { should eq %w[AWSManagedRulesAmazonIpReputationList AWSManagedRulesKnownBadInputsRuleSet AWSManagedRulesCommonRuleSet] }
    its("blocking_rates") { should eq [input("rate_limit")] }
  end
end

control "livetally-waf-02" do
  impact 0.8
  title "What the web ACL refused is logged, without keys"
  desc "It logs to its group; headers with keys and the query are blacked out."
  desc "rationale", "A log of keys is a second place to steal them from."
  desc "fix", "aws_wafv2_web_acl_logging_configuration in modules/edge/firewall.tf."
  tag component: "edge", cis: ["CIS Controls 8: 8.2"], nist: %w[AU-2 AU-9]
  ref "terraform/modules/edge"
  describe livetally_web_acl_log(input("web_acl_arn")) do
    it { should exist }
    its("log_group_names") { should eq [input("waf_log_group_name")] }
    its("redacted") { should eq %w[authorization query_string x-api-key] }
  end
end

control "livetally-cloudfront-01" do
  impact 0.9
  title "CloudFront talks TLS on both sides"
  desc "Viewers need TLS 1.2 and are redirected to it; the load balancer is asked by HTTPS; the bucket only with a signature."
  desc "rationale", "It is the part that viewers see."
  desc "fix", "modules/edge/cloudfront.tf."
  tag component: "edge", cis: ["CIS Controls 8: 3.10"], nist: %w[SC-8 SC-13 AC-3]
  ref "terraform/modules/edge"
  only_if("this environment has no CloudFront") { input("distribution_id") != "" }
  describe livetally_distribution(input("distribution_id")) do
    it { should exist }
    its("minimum_protocol") { should eq "TLSv1.2_2021" }
    its("viewer_policies") { should eq ["redirect-to-https"] }
    its("origin_policies") { should eq ["https-only"] }
    its("unsigned_origins") { should eq [] }
  end
end
