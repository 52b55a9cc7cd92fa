#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the autograder's image. autograder.zip holds this file, run_autograder and, in strata/, a
# clean checkout (or the handout of the lab).
set -eu
apt-get -qq update
apt-get -y -qq install --no-install-recommends make
make -C /autograder/source/strata doctor || make -C /autograder/source/strata guests
make -C /autograder/source/strata guests
