# prod's shape at a smaller size, and without the internet: tasks reach AWS by endpoints only.
environment = "staging"
region      = "eu-central-1"

cidr        = "10.20.0.0/16"
zones       = 3
nat         = "none"
domain_name = "staging.livetally.example"
zone_name   = "livetally.example"
cloudfront  = false
rate_limit  = 20000

database = {
  engine         = "rds"
  instance_class = "db.t4g.medium"
  storage_gb     = 50
  multi_az       = true
  backup_days    = 7
}
cache                       = { node_type = "cache.t4g.small", nodes = 2 }
archive_intelligent_tiering = false
retention_days              = 3
queue_project               = "demo"
deletion_protection         = false

web    = { cpu = 1024, memory = 2048, min = 2, max = 6 }
worker = { cpu = 256, memory = 512, min = 1, max = 4, spot = true }

alert_emails       = ["staging@livetally.example"]
monthly_budget_usd = 900
log_retention_days = 30
github_repository  = "livetally/livetally"
