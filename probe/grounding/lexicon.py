"""Words of English by class, and the forms of verbs: what the grammar of queries knows.

Closed classes are given in full. Of the open ones, verbs above all, the lists have those that occur
in captions of videos.
"""

from typing import Literal


def _read_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EDGES = " \t\n,.;:!?\"'()`\u2018\u2019\u201c\u201d"
"""Marks that are no part of the word they touch; the last four are curved quotes."""

MARKS = " ,.;:!?"
"""Marks that end a part of a sentence."""

ARTICLES = _read_words("a an")
COUNTS = _read_words("two three four five six seven eight nine ten several many both all")
SINGULAR = ARTICLES | _read_words("this that another each every one")
"""Determiners of one thing."""

DETERMINERS = COUNTS | SINGULAR | _read_words("the these those other some any no")
DETERMINERS |= _read_words("my your his her its our their")
PREPOSITIONS = _read_words(
    "in on at of with without to from by for near nearest next beside besides between among "
    "amongst amid under underneath over against around along alongside across through throughout "
    "into onto upon towards toward beneath above about within beyond past atop via before after "
    "like as"
)
PLACES = _read_words("behind below inside outside opposite nearby away")
"""Prepositions that need no object, as in "the man below turns"."""

RELATIONS = _read_words("left right top bottom close closer closest adjacent far farther full")
"""Words that begin a relation before "of", "to" or "from": "the square left of the circle"."""

GROUPS = _read_words("pair group couple crowd bunch team herd flock pack lot number kind piece set")
"""Nouns before "of" whose thing is named after it: "a group of people"."""

SIDES = _read_words("left right top bottom upper lower middle centre center")
"""Words for a side, which may follow their noun: "the circle bottom right"."""

RELATIVES = _read_words("who whom which that whose where")
COORDINATORS = _read_words("and or but then")
SUBORDINATORS = _read_words("while when as because until")
BE = _read_words("is are was were")
HAVE = _read_words("has have had")
DO = _read_words("does do did")
AUXILIARIES = BE | HAVE | DO | _read_words("will can could would")
ADVERBS = _read_words("not also just still again first finally always never now then very")
NOT_ADVERBS = _read_words("family butterfly belly fly lily bully elderly ugly curly")
"""Words in -ly that are not adverbs."""

PARTICLES = _read_words("up down off out back forward forwards backward backwards left right")

PRONOUNS = _read_words("he she it they him them you we himself herself itself themselves")
NAMELESS = PRONOUNS | _read_words("someone somebody something anyone anybody anything everyone one")
NAMELESS |= _read_words("ones everybody everything nobody nothing")
"""Pronouns: a subject without a name."""

SMALL = DETERMINERS | PREPOSITIONS | PLACES | AUXILIARIES | RELATIVES | NAMELESS
SMALL |= _read_words("what when there there's how why and or but then")
"""Function words: none is a name, and none tells one query from another."""

CLOTHES = _read_words("wears wearing wore dressed clad having has had covered seated facing")
CLOTHES |= _read_words("surrounded located situated")
"""Verbs and participles that describe a thing, and do not tell what it does."""

LOOKS = _read_words(
    """
    red green blue yellow purple white black brown grey gray orange pink golden silver beige violet
    cyan magenta turquoise maroon cream blond blonde brunette dark light bright pale colourful
    colorful coloured colored big large small little tiny huge giant tall short long thin fat slim
    wide narrow thick old young new elderly bald bearded round curly ugly pretty beautiful striped
    spotted plaid dotted checked floral furry fluffy hairy shiny dirty clean wet dry wooden plastic
    naked shirtless barefoot
    """
)
"""Adjectives that say what a thing looks like."""

NOUNS_OR_LOOKS = _read_words("light orange blonde")
"""Words for looks that are nouns as well, so that a verb may follow: "the light blinks"."""

PEOPLE = _read_words("men women people children boys girls")
"""Plurals of people, after which a base form is a verb."""

ACTORS = PEOPLE | _read_words(
    """
    man woman boy girl child kid kids baby toddler person adult adults lady ladies gentleman guy
    guys player dancer singer nurse doctor soldier soldiers policeman policewoman officer teacher
    student worker waiter driver rider dog dogs cat cats horse horses bird birds cow goat sheep
    pig rabbit monkey elephant bear lion tiger panda duck chicken fish animal circle circles square
    squares triangle triangles cross rectangle star shape shapes thing object ball balloon car bus
    truck train bike bicycle motorcycle boat ship plane helicopter robot
    """
)
"""Nouns of what acts in videos; they are not the first half of a compound in most captions."""

NOT_VERBS = _read_words(
    "clothes glasses sunglasses pants shorts jeans trousers overalls shoes toys"
)
NOT_VERBS |= _read_words(
    "boots gloves socks stairs bus sports stripes curls always sometimes others"
)
NOT_VERBS |= _read_words(
    "upstairs downstairs indoors outdoors upwards downwards sideways afterwards"
)
"""Nouns and adverbs that look like verbs in -s."""

# "the traffic lights" has no verb, "the nurse hands him the cup" has one: with these the words
# around decide.
NOUNS_OR_VERBS = _read_words(
    "lights hands watches ties drinks flies rows plays shows paints leaves locks pets stamps "
    "sticks works brushes combs cooks plants skates skis bikes steps"
)
"""Forms in -s that are plural nouns as often as verbs."""

NOT_GERUNDS = _read_words(
    "king ring thing string wing spring building clothing earring painting ceiling evening "
    "morning wedding nothing something stocking railing everything anything sibling darling "
    "dumpling pudding"
)
"""Nouns in -ing."""

PURPOSES = _read_words(
    """
    area bag bags board cap cart chair class court dress floor frame gear glass glasses gloves
    goggles ground hall lesson lot machine mat pan path pool ring road rod room rope school shoe
    shoes song stick stove suit table track trunks wall
    """
)
"""Nouns before which a gerund names a use and no action: "swimming pool", "running shoes"."""

VERBS = _read_words(
    """
    accept aim answer appear approach argue arrive ask bake bark bathe beat become begin bend
    bite blink block blow bounce bow break bring brush build bump call caress carry catch change
    chase check cheer clap clean climb close comb come comfort cook cough crawl creep cross crouch
    cry cut dance disappear dive drag draw drift drink drive drop eat embrace enter exit expand
    explode extend fade fall feed fight find finish fix flap flash flicker flip float flutter fly
    fold follow gallop gesture get give glide glow go grab grow hand hang hesitate hide hit hold
    hop hover hug jog jump keep kick kiss kneel knock land laugh lay lead lean leap leave let lick
    lie lift light listen load lock look lower make march meet melt mix move nod open orbit pace
    paint pass pat pay pet pick pinch place play point poke pour press pretend pulse pull punch
    push put raise reach read receive release remove rest return ride rise roll rotate row rub run
    rush salute say scratch sell send set shake shimmer shine shoot shout show shrink shrug shut
    sigh sing sink sit skate ski skip slap sleep slide slip smell smile smoke sneak sneeze sniff
    sparkle speak spin spit splash spread sprint squat squeeze squint stamp stand stare start stay
    step stick stir stop straighten stretch strike stroll stumble swallow sway sweep swim swing
    switch take talk taste tear tell think throw tie tilt toss touch tremble trot try tuck turn
    twirl twist type unlock use vanish vibrate wag wait wake walk wander want wash watch wave wear
    whisper wiggle wink wipe wobble work wrap write yank yawn yell zigzag zoom
    burst chew collide crash drip erupt flow gather graze grin growl hurry mow nap paddle pedal
    plunge sail scream shiver skid snore spill steer surf swerve tickle tumble wade whistle wrestle
    """
)
"""Base forms of verbs."""

# Without "left", which in captions is a side far more often than a verb.
PAST = _read_words(
    """ate beaten began bent bit bitten blew bought broke broken brought built came caught crept did
    drank drawn drew driven drove eaten fed fell fallen flew flown fought found gave given gone got
    grew grown held hid hidden hit hung knelt laid lay led made met paid put ran ridden risen rode
    rolled rose said sang sank sat saw sent shaken shone shook shot shown shrank shrunk shut slept
    slid spoke spun stood struck swam swung taken thought threw thrown told took tore torn went woke
    written wrote"""
)
"""Irregular past forms and participles."""

INTRANSITIVE = _read_words(
    "appearing bouncing coughing crawling crouching crying dancing disappearing falling glowing "
    "hovering jumping kneeling laughing leaping lying marching resting rising shining shrinking "
    "singing sitting skating skiing sleeping sliding smiling smoking sneezing standing swimming "
    "trembling winking wobbling"
)
"""Participles that take no object: what follows is not their noun."""

MOTION = _read_words("to into onto towards toward across through over away around along past from")
"""Prepositions of a path, which follow verbs more often than nouns."""

INVARIANT = _read_words("beat cut hit let put read set shut spread")
"""Verbs whose participle is their base form."""


# Unions are made here, once: to make one anew for each word takes longer than all look-ups.
BEFORE_NOUNS = DETERMINERS | PREPOSITIONS
"""Words after which no verb follows."""

BEFORE_LOOKS = BEFORE_NOUNS - {"in"}
"""Words before adjectives that a noun must follow. After "in" a colour is a noun: "in black"."""

AFTER_VERBS = DETERMINERS | PARTICLES | PRONOUNS | MOTION
"""Words that follow verbs more often than nouns."""

AFTER_NOUNS = PREPOSITIONS | PLACES | RELATIVES | CLOTHES | BE | HAVE
"""Words that end a noun phrase."""

NOT_IN_NOUNS = SMALL | PARTICLES
PLACE_WORDS = PREPOSITIONS | PLACES
PARTICIPLES = PAST | INVARIANT
NEVER_VERBS = SMALL | NOT_VERBS
UNNAMED = NAMELESS | DETERMINERS
NEVER_NOUNS = SMALL - NAMELESS
COPULAS = AUXILIARIES | {"been", "being"}
"""Words after which a verb is no finite one."""

SEVERAL = COUNTS | PEOPLE | {"and", "these", "those"}
"""Words of a bare subject that is more than one thing."""

ONE_THING = frozenset(word for word in LOOKS | ACTORS if not word.endswith("s")) - PEOPLE
"""Adjectives and nouns of a subject that is one thing, also without its determiner."""

_LISTED = SMALL | LOOKS | ACTORS | VERBS | PAST | CLOTHES | PARTICLES | NOT_VERBS


def is_form(word: str, ending: Literal["s", "ed", "ing"]) -> bool:
    """Tell whether a word is a known verb with this ending: "carries", "watches", "stopped"."""
    # English spelling: all stems that could have given this form are tried.
    stem = word.removesuffix(ending)
    stems = {stem, stem + "e", stem[:-1], stem.removesuffix("i") + "y"}
    if ending == "s":
        stems = {stem, stem.removesuffix("e"), stem.removesuffix("ie") + "y"}
    if ending == "ing":
        stems = {stem, stem + "e", stem[:-1], stem.removesuffix("y") + "ie"}
    return stem != word and not stems.isdisjoint(VERBS)


def is_known(word: str) -> bool:
    """Tell whether a word in lower case is in a list here: then it is no name."""
    return word in _LISTED or is_form(word, "s") or is_form(word, "ed") or is_form(word, "ing")


def choose_article(word: str) -> str:
    """Return the indefinite article before a word: "an adult", "a uniform"."""
    sounds_like_y_or_w = word.startswith(("uni", "use", "eu", "one"))
    vowel = word.startswith(("a", "e", "i", "o", "u", "hour", "honest"))
    return "an" if vowel and not sounds_like_y_or_w else "a"
