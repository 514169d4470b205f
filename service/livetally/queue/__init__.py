"""What works behind the scenes: `livetally worker`. Each loop has a module; `worker` wires them."""
