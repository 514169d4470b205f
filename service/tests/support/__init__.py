"""What tests, load tests and fuzzers stand on: servers, clients, faults."""
