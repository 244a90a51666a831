# make app · make test · make check · make bench. Each sets up what it needs in .venv first.
# make train SLICE= MINUTES= · make gate BEFORE= AFTER= · make train-generation · make train-vocoding ·
# make train-classifier · make train-enhancement · make train-super-resolution · make train-lisa · make ablation · make evaluate SLICE= ·
# make evaluate-super-resolution: DATA=, and ARGS= for more.
# The first make with TORCH=cpu TORCH_INDEX=URL takes PyTorch's CPU-only wheels, from its index of these.
PYTHON ?= python3
BIN = .venv/bin
DATA ?= data
TORCH ?=
TORCH_INDEX ?=

.PHONY: app test check format bench train train-generation train-vocoding train-classifier train-enhancement \
	train-super-resolution train-lisa evaluate evaluate-super-resolution gate ablation clean

app: .venv/app
	$(BIN)/python app.py $(ARGS)

# Two files of tests at a time; ARGS="-n 0 tests/test_app.py" runs one in this process.
test: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev
	$(BIN)/python -m tests.bench

# $(DATA) holds esc50/, a clone of karolpiczak/ESC-50; the vocoder reads what else is there.
# What ships, from its data or from an earlier run's state: make train SLICE=denoiser MINUTES=120.
train: .venv/dev
	$(BIN)/python -m tools.card.train $(SLICE) --data $(DATA) --minutes $(MINUTES) $(ARGS)

train-generation: .venv/dev
	$(BIN)/python -m aural.generation.train --data $(DATA)/esc50 $(ARGS)

train-vocoding: .venv/dev
	$(BIN)/python -m aural.vocoding.train --data $(DATA) $(ARGS)

train-classifier: .venv/dev
	$(BIN)/python -m aural.generation.train_classifier --data $(DATA)/esc50 $(ARGS)

# Stages build on each other: ARGS="--stage denoiser", then "--stage completer".
train-enhancement: .venv/dev
	$(BIN)/python -m aural.enhancement.train --data $(DATA) $(ARGS)

# Then with judges: ARGS="--adversarial --start runs/extender/state.pt --folder runs/extender_judged".
train-super-resolution: .venv/dev
	$(BIN)/python -m aural.superres.train --data $(DATA) $(ARGS)

train-lisa: .venv/dev
	$(BIN)/python -m aural.superres.train_lisa --data $(DATA) $(ARGS)

# Super-resolution from every rate, and after filters of many kinds: ARGS="--filters".
evaluate-super-resolution: .venv/dev
	$(BIN)/python -m aural.superres.evaluate --data $(DATA) $(ARGS)

# By recordings of other kinds than the trainings': SLICE=enhancement or super-resolution, ARGS="--json FILE".
# By two judges: SLICE=generation DATA=data/esc50.
EVALUATIONS = enhancement:aural.enhancement.evaluate super-resolution:aural.superres.evaluate_kinds \
	generation:aural.generation.evaluate
evaluate: .venv/evaluate
	$(BIN)/python -m $(or $(patsubst $(SLICE):%,%,$(filter $(SLICE):%,$(EVALUATIONS))),$(error Name a slice: SLICE=enhancement or super-resolution or generation)) --data $(DATA) $(ARGS)

# What got worse between two results of one evaluation: make gate BEFORE=old.json AFTER=new.json.
gate: .venv/dev
	$(BIN)/python -m aural.evaluation.gate $(BEFORE) $(AFTER) $(ARGS)

ablation: .venv/dev
	$(BIN)/python -m aural.generation.ablation --data $(DATA)/esc50 $(ARGS)

.venv/app: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "AURAL needs Python 3.11 or newer: make PYTHON=python3.12")'
	@test "$(TORCH)" != cpu -o -n "$(TORCH_INDEX)" || { echo "Name PyTorch's index of CPU-only wheels: TORCH_INDEX=URL."; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Install the venv module first (Debian: python3-venv)."; exit 1; }
ifeq ($(TORCH),cpu)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --index-url "$(TORCH_INDEX)" $$(grep '^torch' requirements.txt)
endif
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt .venv/app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/evaluate: requirements-evaluate.txt .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-evaluate.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
