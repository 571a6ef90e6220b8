# The commands the README names. The environment is the project's own .venv; TORCH= picks another torch.
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN = .venv/bin
EXTRAS = dev

.PHONY: install demo test test-slow test-oldest lint gpu gpu-wheels bench learn switches docs pictures quickstart clean

install: .venv/installed

# torch comes first and alone: the CPU wheel of that version. It is then held, local version and all, so that nothing brings another build.
# HOLD= holds other versions: make install HOLD="-c constraints/newest.txt" takes the newest that the tests have run with.
.venv/installed .venv-oldest/installed: pyproject.toml setup.py $(wildcard constraints/*.txt csrc/*/*)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --upgrade pip
	$(@D)/bin/pip install -q "$(TORCH)"
	$(@D)/bin/python -c "import importlib.metadata as m; print('torch==' + m.version('torch'))" > $(@D)/torch.txt
	$(@D)/bin/pip install -q -c $(@D)/torch.txt $(HOLD) -e ".[$(EXTRAS)]"
	touch $@

.venv-oldest/installed: HOLD = -c constraints/oldest.txt --build-constraint constraints/oldest.txt
.venv-oldest/installed: EXTRAS = dev,tensorboard

demo: install
	$(BIN)/kit demo --out demo

# A file's tests share what they set up, so a file stays in one of the processes, one for each CPU; torch takes one thread in each.
PARALLEL = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test: install
	$(PARALLEL) -m "not slow" $(TESTS)

# These share little and differ in length: each goes to the process that is free, those of one xdist_group to the same.
# Both ends of what pyproject.toml allows of the kaggle command, beside the one that is installed; tests/kaggle/versions.py finds them.
KAGGLES = $(addprefix build/kaggle/,$(shell sed -n 's/^kaggle==//p' constraints/oldest.txt constraints/newest.txt))

$(KAGGLES): | install
	$(BIN)/pip install -q --no-deps --target $@ kaggle==$(@F)

test-slow: install $(KAGGLES)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup -m slow

# The lower bounds of pyproject.toml, in an environment of their own; CI does not run it.
test-oldest: .venv-oldest/installed
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n auto --dist loadfile -m "not slow"

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/types && mkdir -p build/types/kit && ln -s $(CURDIR)/kit/* $(CURDIR)/kernels build/types/kit/
	$(BIN)/mypy

# On a machine with a GPU, within a time limit: make gpu RUN=first, or PARTS=build,tests RESULTS=FOLDER; see docs/gpu.md.
gpu:
	RUN="$(RUN)" PARTS="$(PARTS)" RESULTS="$(RESULTS)" FIELDS="$(FIELDS)" COMMIT="$(COMMIT)" REHEARSE="$(REHEARSE)" scripts/gpu.sh

# What such a machine lacks, as it has no network: make gpu-wheels WHEELS="--python 3.11 --image freeze.txt"
WHEELS = --image kit/wheels/gpu_image.txt --without polars --without kaggle --without zarr
gpu-wheels: install
	$(BIN)/kit wheels build/gpu-wheels $(WHEELS)

bench: install
	$(BIN)/python -m kit.kernels.bench
	$(BIN)/python -m kit.bench.ingest
	$(BIN)/python -m kit.bench.loader
	$(BIN)/python -m kit.bench.train
	@if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then $(BIN)/python -m kit.bench.steps; fi
	$(BIN)/python -m kit.bench.measures
	$(BIN)/python -m kit.bench.profiles
	$(BIN)/python -m kit.bench.score

# Does the network learn? Three seeds against random weights and intensity, on made plates: about 25 minutes on 2 cores.
learn: learn/work/made
	$(BIN)/kit compare --work learn/work --recipe demo --seeds 3 --baselines --out learn/compare.json

# Which part of the recipe matters? One switch at a time, two networks a row, three seeds: about an hour and a half on 2 cores.
switches: learn/work/made
	$(BIN)/kit compare --work learn/work --recipe demo --channels fluorescence+brightfield --set train.max_steps=300 --seeds 3 --baselines \
	  --switch 'views.brightness=0 views.contrast=0' --switch views.noise_fluorescence=0 --switch views.noise_brightfield=0 \
	  --switch views.elastic_p=0 --switch 'views.rotation=none crops.quarter_turns=false' --switch channels=all \
	  --switch 'loss.local_aggregation=false crops.second_site=false loss.same_view_weight=1' \
	  --switch 'views.noise_shot=0.1 views.noise_dark=0.05' --out learn/switches.json

learn/work/made: | install
	$(BIN)/kit phantom learn/plates --seed 1
	$(BIN)/kit ingest learn/plates/images --metadata learn/plates/metadata --load-data learn/plates/load_data --work learn/work
	touch $@

# docs/settings.md, from the recipes and the meaning of each setting in kit/config.
docs: install
	$(BIN)/kit recipes --markdown > docs/settings.md.part
	mv docs/settings.md.part docs/settings.md

pictures: install
	$(BIN)/python docs/pictures.py

# notebooks/quickstart.ipynb with its outputs: a few minutes.
quickstart: install
	$(BIN)/python docs/quickstart.py

clean:
	rm -rf demo learn bench build .pytest_cache .ruff_cache
