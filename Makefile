# `make demo` and `make test` do everything on a fresh machine; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHECKPOINT ?= default
SECONDS_TO_RUN ?= 20
OUT ?= output
NYUV2 ?= data/nyuv2
PROCESSES ?= 2
WEIGHTS ?= multiavg-ade20k.safetensors
INPUTS ?= 100000
# How the training of the checkpoint ends: larger frames, scales near 1 as cameras have them (Touvron
# et al., "Fixing the train-test resolution discrepancy", 2019), and the mean with what it began from.
FINISH := model.pretrained=null model.init_share=0.5 data.validation=0 auxiliary.share=0.05 \
  transform.input_size=[288,384] transform.crop=[272,368] transform.scale=[0.8,1.25] \
  transform.no_depth=0.04 transform.no_colour=0.05 train.optimiser.weight_decay=0.05 \
  train.schedule.rate=0.0005 train.iterations=400 train.validate_every=0

ifdef ROS_DISTRO
# A distribution brings its own OpenCV, and rclpy and messages that are compiled against its own
# NumPy: the environment sees them, and nothing is installed over them.
VENV_FLAGS := --system-site-packages
EXTRAS := dev
PINS := grep -vE '^(numpy|opencv-python|ros-)' constraints.txt
else
VENV_FLAGS :=
EXTRAS := ros,dev
PINS := cat constraints.txt
endif

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14
	@echo 'make demo FRAMES=<folder>   plays a folder instead (docs/recordings.md)'

$(VENV)/.ready: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(PINS) > $(VENV)/constraints.txt
	$(PIP) install -c $(VENV)/constraints.txt setuptools wheel
	$(PIP) install -c $(VENV)/constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: venv
venv: $(VENV)/.ready  ## make .venv with everything in it

.PHONY: demo
demo: venv  ## label a moving RGB-D camera over ROS 2 and draw a picture of it
	$(BIN)/python -m fafnet_ros.demo --seconds $(SECONDS_TO_RUN) --checkpoint '$(CHECKPOINT)' \
	  --out '$(OUT)' $(if $(FRAMES),--frames '$(FRAMES)')

.PHONY: test
test: venv  ## run all tests
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	# Two at a time, a thread each; nodes have both cores for themselves. A fault that kills a process of
	# xdist's is a failed test, and another process goes on.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile test/core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 test/fuzz
	$(BIN)/python -m pytest test/ros
endif

.PHONY: matrix
matrix: venv  ## run all tests with each Python and library of benchmarks/matrix.py (hours; ROWS="3.13 kilted")
	$(PIP) install 'nox[uv]'
	$(BIN)/nox $(if $(ROWS),-s $(foreach row,$(ROWS),'tests($(row))')) $(if $(ARGS),-- $(ARGS))

.PHONY: coverage
coverage: venv  ## run all tests, and count the lines and branches that they run (OUT/coverage)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest test/core/test_[a-m]*.py
	# One test limits the size of files, also that of the counts.
	$(BIN)/coverage run -m pytest test/core/test_[n-z]*.py \
	  --deselect test/core/test_prepare.py::test_a_full_disk_ends_it_and_keeps_what_is_done
	$(BIN)/coverage run -m pytest test/ros
	$(BIN)/coverage run -m pytest test/fuzz
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory '$(OUT)/coverage'
	$(BIN)/coverage report

.PHONY: lint
lint: venv  ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: venv  ## measure how long networks take here; a table, a picture and JSON
	$(BIN)/python -m fafnet_core benchmark --json '$(OUT)/benchmark.json' \
	  --plot '$(OUT)/benchmark.png' $(ARGS)

.PHONY: checkpoint
checkpoint: venv  ## train the checkpoint that ships anew, and measure it (hours; NYUV2=<folder> WEIGHTS=<file>)
	$(BIN)/torchrun --nproc_per_node $(PROCESSES) -m fafnet_core train config/nyuv2-mobile.yaml \
	  --out '$(OUT)/mobile' --set data.root='$(NYUV2)' --set model.pretrained='$(WEIGHTS)' \
	  --set auxiliary.cache='$(OUT)/synthetic' $(if $(wildcard $(OUT)/mobile/states),--resume)
	$(BIN)/torchrun --nproc_per_node $(PROCESSES) -m fafnet_core train config/nyuv2-mobile.yaml \
	  --out '$(OUT)/mobile-finish' --set data.root='$(NYUV2)' --set auxiliary.cache='$(OUT)/synthetic' \
	  --set model.init='$(OUT)/mobile/last.safetensors' $(addprefix --set ,$(FINISH)) \
	  $(if $(wildcard $(OUT)/mobile-finish/states),--resume)
	$(BIN)/python benchmarks/shipped.py '$(OUT)/mobile-finish/last.safetensors' --nyuv2 '$(NYUV2)'

.PHONY: mutants
mutants: venv  ## change the source at random places, and list what no test notices
	$(PIP) install cosmic-ray
	$(BIN)/python benchmarks/mutants.py --out '$(OUT)/trust/mutants.md' $(ARGS)

.PHONY: trust trust-fuzz trust-faults trust-soak trust-training
trust: trust-fuzz trust-faults trust-soak trust-training  ## the long forms of the tests of trust (hours); tables in output/trust

# INPUTS=<number> of each door; `pip install '.[trust]'` brings what chooses them by coverage.
trust-fuzz: venv
	$(BIN)/python test/fuzz/long.py --inputs '$(INPUTS)' --out '$(OUT)/trust' $(ARGS)

trust-faults: venv
	FAFNET_TRUST=1 $(BIN)/python -m pytest -s test/ros/test_faults.py test/ros/test_watchdog.py \
	  test/ros/test_left_behind.py test/ros/test_gpu_memory.py

trust-soak: venv
	$(BIN)/python benchmarks/soak.py --set runtime:=torch --out '$(OUT)/trust/soak'
	$(BIN)/python benchmarks/soak.py --frames 2000 --checkpoint default --size 320 240 --rate 15 \
	  --out '$(OUT)/trust/soak-default'

trust-training: venv
	$(BIN)/python benchmarks/survive.py --out '$(OUT)/trust/training.md'
	$(BIN)/python benchmarks/determinism.py --out '$(OUT)/trust/determinism.md'

.PHONY: clean
clean:  ## remove everything that make made
	rm -rf $(VENV) .nox build install log output *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
