# frozen_string_literal: true

require "aws-sdk-sns"
require "aws-sdk-sqs"
require "livetally_aws"

# Who may send to a queue, and where its failures go.
class LivetallyQueue < LivetallyAws
  name "livetally_queue"
  desc "A queue's policy and redrive settings, read."

  def initialize(url)
    super()
    @url = url
    @found = ask do
      client(Aws::SQS::Client).get_queue_attributes(queue_url: url, attribute_names: ["All"]).attributes
    end
  end

  def kms_key_id
    attributes["KmsMasterKeyId"]
  end

  def retention_s
    attributes["MessageRetentionPeriod"]&.to_i
  end

  def visibility_timeout_s
    attributes["VisibilityTimeout"]&.to_i
  end

  def wait_s
    attributes["ReceiveMessageWaitTimeSeconds"]&.to_i
  end

  # The queue that messages go to, and after how many tries.
  def dead_letters
    redrive = parsed("RedrivePolicy")
    [redrive["deadLetterTargetArn"].to_s.split(":").last, redrive["maxReceiveCount"].to_i]
  end

  # The queues whose dead letters it takes.
  def sources
    allowed = parsed("RedriveAllowPolicy")
    allowed["redrivePermission"] == "byQueue" ? allowed["sourceQueueArns"].map { |arn| arn.split(":").last } : [allowed["redrivePermission"]]
  end

  def tls_only?
    super(attributes["Policy"])
  end

  # Who may do what, and on whose behalf.
  def senders
    allowances(attributes["Policy"])
  end

  def label
    "queue #{@url.to_s.split("/").last}"
  end

  private

  def attributes
    @found || {}
  end

  def parsed(name)
    JSON.parse(attributes[name] || "{}")
  end
end

# A topic: its key, and who listens.
class LivetallyTopic < LivetallyAws
  name "livetally_topic"
  desc "An SNS topic's key and subscriptions."

  def initialize(arn)
    super()
    @arn = arn
    @found = ask { client(Aws::SNS::Client).get_topic_attributes(topic_arn: arn).attributes }
  end

  def kms_key_id
    (@found || {})["KmsMasterKeyId"]
  end

  # Of who has confirmed: until then AWS has no ARN for a subscription, and sends nothing.
  def protocols
    return [] unless @found

    subscriptions = ask { client(Aws::SNS::Client).list_subscriptions_by_topic(topic_arn: @arn).flat_map(&:subscriptions) }
    (subscriptions || []).select { |each| each.subscription_arn.start_with?("arn:") }.map(&:protocol).uniq.sort
  end

  def label
    "topic #{@arn.to_s.split(":").last}"
  end
end
