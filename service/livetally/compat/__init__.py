"""The older systems' wire formats, each a thin translation onto the core.

None has a store, a counter or a fan-out of its own.

    paths           one path, several systems: who is meant, and in which shape a refusal is
    actions         an action on a colour, as JSON or a form, as a native event
    websocket       what their websockets have in common

    colour          format 1: stats                      -> colour_socket, colour_wires
    results         format 2: results                    -> cable, channels
    views           format 3: page views                 -> hosts
    item_socket     format 4: items
    collector       format 5: clicks and page views over HTTP Basic
    ws              /ws: who is it, by a name or by the first message?
"""
