"""The engines of a mesh on one machine: PostgreSQL, Valkey and SeaweedFS from their wheels, on loopback.

Each engine knows its folder, its ports and its secrets, says how it is started (`Spec`) and what is missing until it is ready.
Nothing here supervises: the `reprise` command and the tests do, with the same classes. Production points services at engines
that run elsewhere and imports nothing from here.
"""
