"""Manifests of Kubernetes: against its schemas, and what the exit codes come to."""

import configparser
import pathlib
import re

import pytest
from support.paths import ROOT

from lth_jax.errors import Exit

validate = pytest.importorskip("kubernetes_validate").validate
yaml = pytest.importorskip("yaml")
PATHS = sorted((ROOT / "scripts").glob("*/*.yaml"))


def jobs(path: pathlib.Path) -> list[dict]:
    """The Jobs of a manifest; a JobSet has them as templates."""
    manifest = yaml.safe_load(path.read_text())
    if manifest["kind"] == "Job":
        return [manifest]
    assert manifest["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}}
    replicated = manifest["spec"]["replicatedJobs"]
    return [{**head, "spec": job["template"]["spec"]} for job in replicated]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_manifest_has_jobs_of_kubernetes_own_schema(path):
    (job,) = jobs(path)
    validate(job, "1.37", strict=True)
    job["spec"]["template"]["spec"]["containers"][0]["imag"] = "a"
    with pytest.raises(Exception, match="imag"):
        validate(job, "1.37", strict=True)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_study_that_was_stopped_goes_on_and_costs_no_retry(path):
    manifest = yaml.safe_load(path.read_text())
    (job,) = jobs(path)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # else no policy is allowed
    assert pod["terminationGracePeriodSeconds"] >= 30
    actions, conditions = {}, {}
    for rule in spec["podFailurePolicy"]["rules"]:
        for code in rule.get("onExitCodes", {}).get("values", ()):
            actions.setdefault(code, rule["action"])
        for condition in rule.get("onPodConditions", ()):
            conditions[condition["type"]] = rule["action"]
    goes_on = {Exit.SAVED, Exit.TRY_AGAIN, 143}
    if manifest["kind"] == "Job":
        assert {actions[code] for code in goes_on} == {"Ignore"}
        assert conditions == {"DisruptionTarget": "Ignore"}
        assert actions[Exit.WRONG] in ("FailJob", "FailIndex")
    else:  # its processes start again together, by the set's rule
        assert {actions[code] for code in goes_on} == {"FailJob"}
        assert conditions == {"DisruptionTarget": "FailJob"}
        (rule,) = manifest["spec"]["failurePolicy"]["rules"]
        assert rule["action"].endswith("IgnoreMaxRestarts")
        assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_signal_reaches_the_study(path):
    (job,) = jobs(path)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    if container["command"][0] == "sh":
        (script,) = container["args"]
        assert script.startswith("exec python -m lth_jax.main ")
    else:
        assert container["command"][:3] == ["python", "-m", "lth_jax.main"]


def test_the_image_pins_every_package_that_the_metadata_name():
    setup = configparser.ConfigParser(inline_comment_prefixes="#")
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"]
    wanted += setup["options.extras_require"]["cluster"]
    lines = (ROOT / "scripts/kubernetes/constraints.txt").read_text().splitlines()
    pinned = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(equals and version for _, equals, version in pinned)
    names = {name for name, _, _ in pinned}
    for line in wanted.split("\n"):
        if line.strip():
            name = re.split(r"[<>=]", line.strip())[0]
            assert name.replace("_", "-").lower() in names
