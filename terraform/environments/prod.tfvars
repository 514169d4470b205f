# 100k viewers (README, Sizes). It survives the loss of a zone without anybody's doing.
environment = "prod"
region      = "eu-central-1"

cidr        = "10.30.0.0/16"
zones       = 3
nat         = "per_zone"
domain_name = "livetally.example"
zone_name   = "livetally.example"
cloudfront  = true
rate_limit  = 100000

database = {
  engine         = "rds"
  instance_class = "db.r8g.xlarge"
  storage_gb     = 500
  multi_az       = true
  backup_days    = 35
}
cache                       = { node_type = "cache.m7g.large", nodes = 3 }
archive_intelligent_tiering = true
retention_days              = 7
queue_project               = "main"
deletion_protection         = true

web    = { cpu = 1024, memory = 2048, min = 6, max = 60 }
worker = { cpu = 1024, memory = 2048, min = 2, max = 10, spot = true }

alert_emails       = ["operations@livetally.example"]
monthly_budget_usd = 8000
log_retention_days = 400
github_repository  = "livetally/livetally"
