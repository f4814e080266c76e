#!/bin/sh
# An operator's round: each line answers one question. RELEVO_TARGET names the server.
set -eu

relevo check                                  # will this host's settings and Redis do?
relevo status                                 # does the store answer, and how full is it?
relevo clients                                # who watches, and how old are their copies?
relevo tenants                                # who uses it most?
relevo explain conversation:acme:c-1          # where did each value of this context come from?
relevo changes acme                           # what was written, when, and by whom?
relevo probe --for 2s                         # does the store keep its promises now?
