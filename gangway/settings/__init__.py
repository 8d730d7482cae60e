"""An environment's variables: layers, env files, contract, secrets, ports, checkout."""
