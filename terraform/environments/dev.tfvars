# To try things out: small, in two zones, gone in a minute.
environment = "dev"
region      = "eu-central-1"

cidr        = "10.10.0.0/16"
zones       = 2
nat         = "one"
domain_name = "dev.livetally.example"
zone_name   = "livetally.example"
cloudfront  = false
rate_limit  = 20000

database = {
  engine         = "rds"
  instance_class = "db.t4g.small"
  storage_gb     = 20
  multi_az       = false
  backup_days    = 1
}
cache                       = { node_type = "cache.t4g.micro", nodes = 1 }
archive_intelligent_tiering = false
retention_days              = 3
queue_project               = "demo"
deletion_protection         = false

web    = { cpu = 512, memory = 1024, min = 1, max = 4 }
worker = { cpu = 256, memory = 512, min = 1, max = 2, spot = true }

alert_emails       = ["dev@livetally.example"]
monthly_budget_usd = 200
log_retention_days = 7
github_repository  = "livetally/livetally"
