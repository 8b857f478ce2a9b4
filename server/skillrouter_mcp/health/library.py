"""Checks of the skills themselves."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from skillrouter_mcp.health.collection import Collection, ReadSkill, read_collection
from skillrouter_mcp.health.finding import Finding, Progress, Status
from skillrouter_mcp.health.near_copies import Group, near_copies, skill_vectors
from skillrouter_mcp.health.reachability import DEPTH, Reach, check_reach
from skillrouter_mcp.health.steering import Kind
from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import Settings
from skillrouter_mcp.skills import printable

_PATH_CHARACTERS = 4_096
_SECONDS = 45.0  # for all checks of the library: what is left of them goes into asking
_LEAST_ASKING_SECONDS = 5.0
_TEMPLATE_MEMBERS = 10  # so many near-copies are not copied by hand
# What agentskills.io advises for a SKILL.md: 500 lines, 5,000 tokens at some four characters each.
_ADVISED_LINES = 500
_ADVISED_CHARACTERS = 20_000

_SUSPICIONS: dict[Kind, str] = {
    "hidden-characters": "holds characters that a reader does not see and a model does",
    "hidden-comment": "speaks to a model in a comment that a reader of the page does not see",
    "overrides-instructions": "speaks of ignoring other instructions or skills",
    "conceals-from-user": "speaks of keeping something from the user",
    "promotes-itself": "asks to be preferred to other skills",
    "downloads-into-shell": "runs what it downloads without a look at it",
    "stuffed-keywords": "repeats one word many times in one paragraph",
}


def check_library(
    settings: Settings, router: Router | None, progress: Progress
) -> Iterator[Finding]:
    """What in the folders cannot be loaded, is there twice, cannot be found or looks unsafe.

    Args:
        router: whose index is compared and asked; None leaves that out.
    """
    began = time.monotonic()
    collection = read_collection(settings.search_roots(), progress)
    yield _told_of(collection, router)
    yield from _check_files(collection)
    skills = [skill for skill in collection.skills if not skill.hidden]
    yield from _check_copies(skills, router)
    yield from _check_contents(collection.skills)
    if router is not None:
        left = max(_LEAST_ASKING_SECONDS, began + _SECONDS - time.monotonic())
        yield from _check_reach(skills, router, progress, left)


def _told_of(collection: Collection, router: Router | None) -> Finding:
    count = len(collection.skills)
    if not count:
        return _finding(
            "no-skills",
            "skills",
            "problem",
            "there is none, so every request is answered with nothing",
            "the router finds what lies in its roots",
            "put folders with a SKILL.md into ~/.skills, or name others by SKILLROUTER_ROOTS",
        )
    text = f"{count:,} were read"
    if router is not None:
        return _finding("skills", "skills", "ok", text)
    return _finding(
        "skills",
        "skills",
        "note",
        f"{text}; without an index they are not compared by their vectors, nor looked for",
        "some may be near-copies of others, or found by nobody",
        "skillrouter-mcp index, then this again",
    )


def _check_files(collection: Collection) -> Iterator[Finding]:
    for problem in collection.problems:
        yield _finding(
            "unreadable",
            problem.path,
            "problem",
            f"could not be loaded: {problem.reason}",
            "it cannot be found",
            "put right what is said of it",
        )
    for skill in collection.skills:
        for warning in skill.warnings:
            yield _finding(
                "front-matter",
                skill.path,
                "note",
                warning,
                "it is loaded here; stricter clients refuse it",
                "put right its front matter",
            )


def _check_copies(skills: Sequence[ReadSkill], router: Router | None) -> Iterator[Finding]:
    copies = defaultdict(list)
    for skill in skills:
        copies[skill.digest].append(skill)
    for same in copies.values():
        if len(same) > 1:
            yield _finding(
                "copies",
                same[0].name,
                "note",
                f"the same text lies in {len(same)} places",
                "the router shows the first alone",
                "remove the others, or make them links",
                [skill.path for skill in same],
            )
    distinct = [same[0] for same in copies.values()]
    groups = near_copies(
        [skill.name for skill in distinct],
        [skill.trigrams for skill in distinct],
        _vectors(distinct, router),
    )
    group_of = {member: group for group in groups for member in group.members}
    yield from _check_names(distinct, group_of)
    for group in groups:
        yield _near_copies(group, [distinct[member] for member in group.members])


def _check_names(skills: Sequence[ReadSkill], group_of: Mapping[int, Group]) -> Iterator[Finding]:
    by_name = defaultdict(list)
    for number, skill in enumerate(skills):
        by_name[skill.name].append(number)
    for name, numbers in sorted(by_name.items()):
        if len(numbers) == 1:
            continue
        paths = [skills[number].path for number in numbers]
        if {skills[number].scope for number in numbers} == {"project", "user"}:
            yield _finding(
                "shadowed",
                name,
                "note",
                "a project's skill hides the user's skill of the same name",
                "that is how clients do it; only the project's is found here",
                "rename one if both are wanted",
                paths,
            )
        elif len({id(group_of.get(number, number)) for number in numbers}) > 1:
            yield _finding(
                "name-clash",
                name,
                "problem",
                f"{len(numbers)} skills of different texts have this name",
                "an agent cannot tell them apart, and clients load one of them only",
                "rename all but one, folder and front matter alike",
                paths,
            )


def _near_copies(group: Group, members: Sequence[ReadSkill]) -> Finding:
    layers = []
    if group.same_name:
        layers.append("some share a name")
    if group.jaccard:
        layers.append(f"trigrams of the bodies up to {group.jaccard:.2f} alike")
    if group.cosine:
        layers.append(f"vectors up to {group.cosine:.2f}")
    longest = max(members, key=lambda skill: skill.characters)
    remedy = f"compare them and keep one; the longest is {longest.path}"
    if len(members) > _TEMPLATE_MEMBERS:
        remedy = "they look written from one template: one skill that says what differs may do"
    return _finding(
        "near-copies",
        longest.name,
        "note",
        f"{len(members)} skills say nearly the same ({', '.join(layers)})",
        "they take each other's places among the first matches of a request",
        remedy,
        [skill.path for skill in members],
    )


def _vectors(skills: Sequence[ReadSkill], router: Router | None) -> Floats | None:
    """A vector for each skill, zeros where the index has none; None without an index."""
    if router is None:
        return None
    mirror = router.library.snapshot.mirror
    rows = {document: row for row, document in enumerate(mirror.document_ids.tolist())}
    documents = {place.path: place.document_id for place in router.library.locations()}
    vectors = np.concatenate(
        [skill_vectors(mirror), np.zeros((1, mirror.labels.shape[1]), np.float32)]
    )
    chosen = [rows.get(documents.get(skill.path, -1), -1) for skill in skills]
    found: Floats = vectors[chosen]
    return found


def _check_contents(skills: Sequence[ReadSkill]) -> Iterator[Finding]:
    for skill in skills:
        if skill.lines > _ADVISED_LINES or skill.characters > _ADVISED_CHARACTERS:
            yield _finding(
                "size",
                skill.path,
                "note",
                f"has {skill.lines:,} lines and {skill.characters:,} characters; advised are at "
                f"most {_ADVISED_LINES} lines and some 5,000 tokens",
                "an agent pays for all of it whenever it reads the skill",
                "move what is not always needed into files under references/",
            )
    for kind, text in _SUSPICIONS.items():
        for skill in skills:
            found = [suspicion for suspicion in skill.suspicions if suspicion.kind == kind]
            if not found:
                continue
            yield _finding(
                kind,
                f"{skill.path}:{found[0].line}",
                "note",
                f"{text}: {found[0].quote}",
                "texts made to steer a router or an agent look so, as do honest ones at times: "
                "read it before you trust it",
                "remove the skill if you do not trust where it came from",
                [f"{skill.path}:{suspicion.line}" for suspicion in found],
            )


def _check_reach(
    skills: Sequence[ReadSkill], router: Router, progress: Progress, seconds: float
) -> Iterator[Finding]:
    described = {skill.path: skill.description for skill in skills if skill.description}
    names = {skill.path: skill.name for skill in skills}
    reach = check_reach(router, described, progress, seconds)
    for path in reach.missed:
        yield _finding(
            "unreachable",
            path,
            "problem",
            f'"{names[path]}" is not among the first {DEPTH} that its own description finds, nor '
            "by one of its sentences",
            "a request in the user's words will hardly find it",
            "say in the description what sets it apart, or remove its near-copies",
        )
    if reach.of:
        yield _reach(reach)


def _reach(reach: Reach) -> Finding:
    """How each skill was looked for."""
    text = f"of {reach.of:,} skills {reach.clear:,} stand out by their own words and meaning"
    if reach.asked:
        text += f"; of {reach.asked:,} asked for besides, {len(reach.missed):,} were not found"
    left = reach.of - reach.clear - reach.asked
    if not left:
        return _finding("reach", "descriptions", "ok", text)
    return _finding(
        "reach",
        "descriptions",
        "note",
        f"{text}; for {left:,} there was no time",
        "some of these may be found by nobody",
        "skillrouter-mcp doctor --root FOLDER, with a part of the skills",
    )


def _finding(
    check: str,
    subject: str,
    status: Status,
    text: str,
    why: str = "",
    remedy: str = "",
    places: Sequence[str] = (),
) -> Finding:
    return Finding(
        section="library",
        check=check,
        subject=printable(subject, _PATH_CHARACTERS),
        status=status,
        text=text,
        why=why,
        remedy=remedy,
        places=tuple(places),
    )
