"""Names that a page might take for something else than text."""

HOSTILE = [
    "<img src=x onerror=globalThis.hacked=1>",
    "'\"></td></table><script>globalThis.hacked=1</script>",
    "<svg/onload=globalThis.hacked=1>&lt;b&gt;",
    "javascript:globalThis.hacked=1",
    "]; } * { display: none } /* \\",
    "{{7*7}}${7*7}%s%n",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
    "a\u0301\u0301\u0301\u0301\u0301 \ufeff\u200b\u2028zero width",
    "line\nbreak\ttab",
    "  spaces around  ",
    "click:red",
    "__proto__",
    "constructor",
    "0",
    "W" * 1_024,
]
