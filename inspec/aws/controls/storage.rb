# frozen_string_literal: true

# By name, so that one that isn't given is missed.
ours = %w[archive imports results].to_h { |name| [name, input("bucket_names")[name]] }
logs = input("logs_bucket_name")
# Without CloudFront there is no bucket of pages.
others = [logs] + [input("pages_bucket_name")].reject(&:empty?)
buckets = ours.values + others

control "livetally-s3-01" do
  impact 1.0
  title "No bucket is public, whatever its policy says"
  desc "All four blocks of public access are on, on every bucket."
  desc "rationale", "One slip in a policy has made many an archive the world's."
  desc "fix", "aws_s3_bucket_public_access_block; terraform apply."
  tag component: "storage", cis: ["CIS AWS 3.0.0: 2.1.4"], nist: %w[AC-3 SC-7]
  ref "terraform/modules/storage"
  buckets.each do |bucket|
    describe aws_s3_bucket(bucket_name: bucket) do
      it { should exist }
      it { should be_prevent_public_access }
    end
  end
end

control "livetally-s3-02" do
  impact 0.9
  title "Buckets are encrypted, those with events with our key"
  desc "Archive, imports and answers with the environment's key; logs and pages, where AWS itself must write or everybody reads, with S3's."
  desc "rationale", "Snapshots and disks of somebody else's machines are worth nothing to who hasn't the key."
  desc "fix", "aws_s3_bucket_server_side_encryption_configuration; terraform apply."
  tag component: "storage", cis: ["CIS Controls 8: 3.11"], nist: %w[SC-28 SC-12]
  ref "terraform/modules/storage"
  ours.each_value do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("encryption") { should eq "aws:kms" }
      its("kms_key_id") { should eq input("kms_key_arn") }
    end
  end
  others.each do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("encryption") { should eq "AES256" }
    end
  end
end

control "livetally-s3-03" do
  impact 0.9
  title "Buckets are reached by TLS only"
  desc "Every bucket's policy denies everything else."
  desc "rationale", "S3 still answers plain HTTP."
  desc "fix", "The statement OnlyTLS of each bucket's policy; terraform apply."
  tag component: "storage", cis: ["CIS AWS 3.0.0: 2.1.1"], nist: %w[SC-8]
  ref "terraform/modules/storage"
  buckets.each do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      it { should be_tls_only }
    end
  end
end

control "livetally-s3-04" do
  impact 0.8
  title "Objects have versions"
  desc "What is overwritten or deleted can be had back for a time."
  desc "rationale", "The archive is the only copy of old events."
  desc "fix", "aws_s3_bucket_versioning; terraform apply."
  tag component: "storage", cis: ["CIS Controls 8: 11.1"], nist: %w[CP-9]
  ref "terraform/modules/storage"
  buckets.each do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("versioning") { should eq "Enabled" }
    end
  end
end

control "livetally-s3-05" do
  impact 0.6
  title "Objects age as they should"
  desc "Old versions and unfinished uploads go everywhere; the archive stays and gets colder; imports, answers and logs end."
  desc "rationale", "What is kept for ever is paid for ever, and can be stolen for ever."
  desc "fix", "aws_s3_bucket_lifecycle_configuration; terraform apply."
  tag component: "storage", cis: ["CIS Controls 8: 3.1"], nist: %w[SI-12]
  ref "terraform/modules/storage"
  tidy = ["old versions expire after 30", "unfinished uploads end after 1"]
  colder = { true => "INTELLIGENT_TIERING after 0", false => "GLACIER_IR after 90" }.fetch(input("archive_intelligent_tiering"))
  {
    ours["archive"] => [colder, *tidy],
    ours["imports"] => ["expire after 30", *tidy],
    ours["results"] => ["expire after 30", *tidy],
    logs => ["expire after 90", "old versions expire after 1", "unfinished uploads end after 1"],
  }.each do |bucket, rules|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("lifecycle") { should eq rules.sort }
    end
  end
end

control "livetally-s3-06" do
  impact 0.5
  title "We own what is in our buckets"
  desc "ACLs are off: the bucket's owner owns every object."
  desc "rationale", "An object that somebody else owns is none of our policies' business."
  desc "fix", "aws_s3_bucket_ownership_controls; terraform apply."
  tag component: "storage", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3]
  ref "terraform/modules/storage"
  [*ours.values, logs].each do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("ownership") { should eq "BucketOwnerEnforced" }
    end
  end
end

control "livetally-s3-07" do
  impact 0.9
  title "A bucket's policy lets in whom the bucket is for"
  desc "Nobody at archive, imports and answers; the load balancer's deliveries at the logs; our CloudFront at the pages."
  desc "rationale", "What a policy gives away, no role has to be stolen for."
  desc "fix", "aws_s3_bucket_policy of modules/storage and modules/edge; terraform apply."
  tag component: "storage", cis: ["CIS Controls 8: 3.3"], nist: %w[AC-3 AC-6]
  ref "terraform/modules/storage"
  account = input("kms_key_arn").split(":")[4]
  guests = {
    logs => ["logdelivery.elasticloadbalancing.amazonaws.com: s3:PutObject"],
    input("pages_bucket_name") => ["cloudfront.amazonaws.com: s3:GetObject from arn:aws:cloudfront::#{account}:distribution/#{input("distribution_id")}"],
  }
  buckets.each do |bucket|
    describe livetally_bucket(bucket) do
      it { should exist }
      its("guests") { should eq guests.fetch(bucket, []) }
    end
  end
end
