curl -w '\n' -X PUT {{url}}/v1/items/vehicle-id/3 -H 'x-api-key: {{key}}' \
  -H 'content-type: application/json' -d '{"lat":41.4,"on":true}'

# The item, and whatever it changes to (npm install -g wscat):
wscat -c '{{ws}}/ws?vehicle-id=3&api_key={{key}}' -w 1 -x ''
