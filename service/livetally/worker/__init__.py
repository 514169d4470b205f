"""`livetally worker`: what works behind the scenes.

app     all wiring of it, and how its loops end
rollup  minutes to hours to days; old days of the log go
"""
