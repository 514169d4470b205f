# frozen_string_literal: true

queues = [input("queue_url"), input("dead_letter_url")]

control "livetally-sqs-01" do
  impact 0.9
  title "Messages are encrypted with our key"
  desc "Both queues and both topics use the environment's key."
  desc "rationale", "Messages wait here for up to 14 days."
  desc "fix", "kms_master_key_id in modules/queue and modules/monitoring."
  tag component: "queue", cis: ["CIS Controls 8: 3.11"], nist: %w[SC-28]
  ref "terraform/modules/queue"
  queues.each do |queue|
    describe livetally_queue(queue) do
      it { should exist }
      its("kms_key_id") { should eq input("kms_key_arn") }
    end
  end
  [input("queue_topic_arn"), input("alarm_topic_arn")].each do |topic|
    describe livetally_topic(topic) do
      it { should exist }
      its("kms_key_id") { should eq input("kms_key_arn") }
    end
  end
end

control "livetally-sqs-02" do
  impact 0.9
  title "What fails five times is kept apart"
  desc "The queue hands such messages to the queue of dead letters, which takes them from nobody else."
  desc "rationale", "One message that can't be counted must not hold up all others, nor be lost."
  desc "fix", "redrive_policy and redrive_allow_policy in modules/queue."
  tag component: "queue", cis: ["CIS Controls 8: 8.2"], nist: %w[SI-11 CP-10]
  ref "terraform/modules/queue"
  describe livetally_queue(input("queue_url")) do
    it { should exist }
    its("dead_letters") { should eq [input("dead_letter_url").split("/").last, 5] }
  end
  describe livetally_queue(input("dead_letter_url")) do
    it { should exist }
    its("sources") { should eq [input("queue_url").split("/").last] }
  end
end

control "livetally-sqs-03" do
  impact 1.0
  title "Only our topic and our bucket may send, and by TLS"
  desc "Policies let SNS and S3 send on behalf of one source each, and deny what isn't TLS."
  desc "rationale", "Who can send to the queue can count what never happened."
  desc "fix", "aws_sqs_queue_policy in modules/queue; terraform apply."
  tag component: "queue", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3 SC-8]
  ref "terraform/modules/queue"
  bucket = "s3.amazonaws.com: sqs:SendMessage from arn:aws:s3:::#{input("bucket_names")["imports"]}"
  topic = "sns.amazonaws.com: sqs:SendMessage from #{input("queue_topic_arn")}"
  { input("queue_url") => [bucket, topic], input("dead_letter_url") => [topic] }.each do |queue, senders|
    describe livetally_queue(queue) do
      it { should exist }
      it { should be_tls_only }
      its("senders") { should eq senders }
    end
  end
end

control "livetally-sqs-04" do
  impact 0.6
  title "The queue outlasts an outage"
  desc "Messages are kept for 14 days, are one worker's for two minutes, and workers wait for them."
  desc "rationale", "An outage over a long weekend loses nothing."
  desc "fix", "message_retention_seconds, visibility_timeout_seconds, receive_wait_time_seconds in modules/queue."
  tag component: "queue", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-10]
  ref "terraform/modules/queue"
  queues.each do |queue|
    describe livetally_queue(queue) do
      it { should exist }
      its("retention_s") { should eq 1_209_600 }
    end
  end
  describe livetally_queue(input("queue_url")) do
    it { should exist }
    its("visibility_timeout_s") { should eq 120 }
    its("wait_s") { should eq 20 }
  end
end
