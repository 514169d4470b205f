curl -w '\n' {{url}}/v1/events -H 'Authorization: {{key}}' \
  -H 'content-type: application/json' -d '{"action":"click","color":"red"}'
curl -w '\n' '{{url}}/v1/stats?action=click' -H 'Authorization: {{key}}'

# Whatever changes from now on (npm install -g wscat):
wscat -c {{ws}}/ws -w 1 -x '{"action":"add_api_key","api_key":"{{key}}"}'
