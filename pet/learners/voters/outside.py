"""The outside voter: what somebody else has said of the rows; it reads nothing, and learns nothing."""

from dataclasses import dataclass

from pet.data.outside import OutsideVotes

OUTSIDE = "outside"


@dataclass(frozen=True, eq=False)
class OutsideSpec:
    """The voter of outside votes; `name` is unique in a run."""

    votes: OutsideVotes
    seed_index: int = 0

    @property
    def name(self) -> str:
        """What such voters are told from others by, and the name of the votes; the plus sign is as for other voters."""
        return f"{OUTSIDE}+{self.votes.name}"

    @property
    def kind(self) -> str:
        """The name: there is one of each."""
        return self.name

    @property
    def learns(self) -> bool:
        """Whether anything of it is learned from rows."""
        return False
