"""What can be asked, over HTTP.

stats            GET /v1/stats, /v1/types: totals and series
buckets          how finely the past is kept: minutes, hours, days
page_views       GET /v1/pages: views of pages and articles, and referrers
items            /v1/items: keyed values that change
verify           GET /v1/verify: do log, counts and viewers agree?
pointer_history  where people pointed: heatmap, sessions, replay
key_admin        /admin/v1/projects, /admin/v1/keys
processes        /admin/v1/processes: who serves, how busy
operations       /healthz, /readyz, /metrics
"""
