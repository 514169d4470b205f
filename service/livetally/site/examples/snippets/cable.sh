curl -w '%{http_code}\n' {{url}}/v1/events -H 'Authorization: Token token={{key}}' \
  -d 'action_color[action_name]=click&action_color[color_name]=blue'
curl -w '\n' '{{url}}/v1/events?action_name=click' -H 'Authorization: Token token={{key}}'

# Whatever changes from now on (npm install -g wscat):
wscat -c '{{ws}}/v1/events/cable?api_key={{key}}' -s actioncable-v1-json -w 1 \
  -x '{"command":"subscribe","identifier":"{\"channel\":\"ClicksChannel\"}"}'
