#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the autograder's image, from Debian 12, Ubuntu 24.04 or newer (Python 3.11). autograder.zip holds
# this file, run_autograder and, in strata/, the handout of the lab (make handout LAB=n): where the container
# cannot make a sandbox, a submission could read a solution that stands beside it.
set -eu
apt-get -qq update
apt-get -y -qq install --no-install-recommends make
cd "${AUTOGRADER:-/autograder}/source/strata"
tools/doctor --quiet --for test
make guests
