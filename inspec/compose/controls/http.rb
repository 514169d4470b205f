# frozen_string_literal: true

url = input("url")

control "livetally-http-01" do
  impact 1.0
  title "The service answers through the proxy, and is ready"
  desc "/readyz is 200: Postgres and Redis answer, migrations are done, background loops are alive."
  desc "rationale", "It is what load balancers go by: a task that says ready takes events."
  desc "fix", "curl URL/readyz says what is missing; then docker compose logs service."
  tag component: "http", cis: ["CIS Controls 8: 12.1"], nist: %w[SI-17 CP-10]
  ref "service/README.md, health"
  describe http("#{url}/readyz") do
    its("status") { should eq 200 }
    its("headers.Content-Type") { should eq "application/json" }
  end
  describe json(content: http("#{url}/readyz").body) do
    its("status") { should eq "ready" }
  end
end

control "livetally-http-02" do
  impact 0.7
  title "The page has a strict content security policy"
  desc "Scripts come from Livetally alone, nothing is inlined, no plug-in runs, and nobody else frames the page."
  desc "rationale", "Subjects are other people's text: should one ever be taken for HTML, it must not run."
  desc "fix", "service/livetally/site/pages.py sets the policy; a proxy in front must not remove it."
  tag component: "http", cis: ["CIS Controls 8: 16.10"], nist: %w[SC-18 SI-10]
  ref "service/livetally/site/pages.py"
  describe "the page's headers" do
    subject { http("#{url}/", headers: { "accept" => "text/html" }) }
    its("status") { should eq 200 }
    its("headers.Content-Type") { should cmp(/\Atext\/html/) }
    its("headers.Content-Security-Policy") { should match(/default-src 'none'|default-src 'self'/) }
    its("headers.Content-Security-Policy") { should match(/script-src 'self'(;|\z)/) }
    its("headers.Content-Security-Policy") { should match(/frame-ancestors 'none'/) }
  end
end

control "livetally-http-03" do
  impact 0.5
  title "Answers are what they say they are"
  desc "Every answer, also a refusal, has X-Content-Type-Options; pages tell other sites nothing of where one was."
  desc "rationale", "A browser that guesses can take an export of events for a page."
  desc "fix", "service/livetally/web/middleware.py and pages.py; service/deploy/nginx.conf for the proxy's own refusals."
  tag component: "http", cis: ["CIS Controls 8: 16.10"], nist: %w[SC-18]
  ref "service/livetally/web/middleware.py"
  %w[/ /v1/types /-/nothing].each do |path|
    describe http("#{url}#{path}") do
      its("headers.X-Content-Type-Options") { should eq "nosniff" }
    end
  end
  describe "the page's referrer policy" do
    subject { http("#{url}/", headers: { "accept" => "text/html" }) }
    its("status") { should eq 200 }
    its("headers.Referrer-Policy") { should eq "same-origin" }
  end
end

control "livetally-http-04" do
  impact 0.4
  title "Nobody is told which version answers"
  desc "The service calls itself livetally and the proxy nginx, without a number."
  desc "rationale", "A version is a list of known holes."
  desc "fix", "server_tokens off in service/deploy/nginx.conf."
  tag component: "http", cis: ["CIS Controls 8: 4.8"], nist: %w[CM-7 SI-11]
  ref "service/deploy/nginx.conf"
  { "/v1/types" => "livetally", "/-/proxy" => "nginx" }.each do |path, server|
    describe http("#{url}#{path}") do
      its("headers.Server") { should eq server }
      its("headers.X-Powered-By") { should eq nil }
    end
  end
end

control "livetally-http-05" do
  impact 0.8
  title "Metrics are for inside only"
  desc "The proxy has nothing at /metrics, while every task has."
  desc "rationale", "They tell how much is counted, for how many, and what fails."
  desc "fix", "location = /metrics in service/deploy/nginx.conf."
  tag component: "http", cis: ["CIS Controls 8: 4.8"], nist: %w[AC-3 SC-7]
  ref "service/deploy/nginx.conf"
  describe http("#{url}/metrics") do
    its("status") { should eq 404 }
    its("body") { should eq '{"error":{"code":"not_found","message":"There is nothing here."}}' }
  end
  describe livetally_inside(input("project")).service_status("/metrics") do
    it { should exist }
    its("answer") { should eq "200" }
  end
end

control "livetally-http-06" do
  impact 1.0
  title "Without a key nothing is counted, read or administered"
  desc "A request without a key, or with one that nobody was given, is refused."
  desc "rationale", "A key is what keeps one project's counts from everybody else."
  desc "fix", "It can't be switched off: look at what stands in front and adds keys, and at LIVETALLY_PAGE_READ_KEY."
  tag component: "http", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3 IA-2]
  ref "service/README.md, keys"
  describe "GET /v1/types without a key" do
    subject { http("#{url}/v1/types") }
    its("status") { should eq 401 }
  end
  describe "GET /v1/types with a key of nobody's" do
    subject { http("#{url}/v1/types", headers: { "x-api-key" => "lt_read_nobody" }) }
    its("status") { should eq 401 }
  end
  describe "POST /v1/events without a key" do
    subject { http("#{url}/v1/events", method: "POST", headers: { "content-type" => "application/json" }, data: '{"type":"click","subject":"red"}') }
    its("status") { should eq 401 }
  end
  describe "GET /admin/v1/stats without a key" do
    subject { http("#{url}/admin/v1/stats") }
    its("status") { should eq 401 }
  end
end
