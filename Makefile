# make demo: a fresh machine to a report. make test: the same, then everything that can fail.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test test-slow test-slurm soak install lint linked-tree clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

demo: install
	$(BIN)/brainnet demo $(DEMO)

# brainnet.workflows and brainnet.atlases stand outside brainnet/: static tools read this tree of links.
linked-tree:
	@mkdir -p .linked/brainnet
	@find .linked/brainnet -maxdepth 1 -type l -delete
	@cd .linked/brainnet && for each in ../../brainnet/*; do ln -sfn $$each .; done
	@cd .linked/brainnet && ln -sfn ../../workflows workflows && ln -sfn ../../atlases atlases

lint: install linked-tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .linked && ../$(BIN)/mypy --config-file ../pyproject.toml -p brainnet
	cd .linked && PYTHONPATH=. ../$(BIN)/lint-imports --config ../pyproject.toml

# two files at a time; the slowest tests are named at the end
test: demo lint
	BRAINNET_DEMO=$(DEMO) $(BIN)/python -m pytest -m "not slow and not slurm" -n 2 --dist loadfile --durations=15

test-slow: install
	$(BIN)/python -m pytest -m slow

# a real SLURM of one node on this machine (Debian, as root); the last line is what was measured
test-slurm: install
	$(BIN)/python -m tests.reliability.slurm.node
	BRAINNET_SLURM=build/slurm.json $(BIN)/python -m pytest -m slurm tests/reliability/test_slurm.py
	@cat build/slurm.json

# a hundred kills, mutated headers, damaged files; the last line is what was found
soak: demo
	BRAINNET_DEMO=$(DEMO) $(BIN)/python tests/reliability/soak.py

clean:
	rm -rf $(VENV) .linked $(DEMO) build dist *.egg-info
