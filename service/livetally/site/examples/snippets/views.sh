# npm install -g wscat
wscat -c '{{ws}}/ws?api_key={{key}}' -w 1 \
  -x '{"message":"views","articleId":"a1","articleTitle":"T","currentPage":"/posts/x","referrer":"https://news.example/"}'
curl -w '\n' '{{url}}/v1/pages?article=a1' -H 'x-api-key: {{key}}'
