"""The command line: one module a subcommand, each with `NAME`, `HELP`, `add_arguments`, `run`."""

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "serve": "run everything on this machine: web, workers, queue, database",
    "web": "run the web process alone (needs REDIS_URL)",
    "worker": "run one worker (needs REDIS_URL)",
    "transform": "play one file with something else, without a server",
    "demo": "start everything, play the bundled riff as a string quartet, stop everything",
    "demo-ad": "put an advertisement into a bundled song where it fits, and draw it",
    "presets": "list the presets and their prompts",
    "examples": "render the bundled riff with every preset, to be heard before choosing",
    "engines": "list the engines and whether they work here",
    "models": "fetch, convert, check and list the weights that the networks play with",
    "jobs": "list the jobs that were given up, or give one another chance",
    "webhooks": "show the secret that webhooks are signed with",
    "keys": "make, list and revoke the keys that callers need",
    "check": "say what works on this machine, what is missing and what adds it",
    "assets": "fetch the sound bank, and say what the arranger would play better with",
}
"""Subcommands and their help; the modules are imported when they are chosen, and not before."""
