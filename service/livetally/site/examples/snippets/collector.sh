curl -w '\n' -u '{{project}}:{{key}}' {{url}}/button/click \
  -H 'content-type: application/json' -d '{"session_id":"s1","button_id":"buy"}'
curl -w '\n' -u '{{project}}:{{key}}' '{{url}}/button/click/count?button_id=buy'
