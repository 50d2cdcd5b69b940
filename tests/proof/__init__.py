"""The long proofs, on real servers that are killed for it. `make proof` runs them with full counts.

    python -m tests.proof                        small counts, to the terminal
    python -m tests.proof --full --write PAGE    full counts, and the page docs/proofs.md

crash        a kill at every protocol message and at random moments; the next apply ends as if nothing had happened
durability   every process of the server killed right after exit 0; nothing is missing
runners      16 runners at once, direct and pooled; each migration once, and a dead runner is succeeded

    sets     the migrations that are run       client   the command, as a process of its own
    wire     what passed until a kill          rounds   what the proofs share: counting, failing, printing
    page     results → Markdown
"""
