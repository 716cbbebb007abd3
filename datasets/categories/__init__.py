"""Category discovery: images of which only some classes, and of these only some images, have labels."""
