/* SPDX-License-Identifier: MIT */
/* A module for Python. Its keep_row() leaks 1 KiB a call, its render() is loud and clean. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "loud.h"

static char *volatile rows;

static APART PyObject *keep_row(PyObject *self, PyObject *arguments)
{
	unsigned int step;
	char *row;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "I", &step))
		return NULL;
	row = malloc(1000 + step % 50);
	if (!row)
		return PyErr_NoMemory();
	memset(row, 1, 1000 + step % 50);
	rows = row;
	Py_RETURN_NONE;
}

static PyObject *render(PyObject *self, PyObject *arguments)
{
	static struct pages pages;

	(void)self;
	(void)arguments;
	render_pages(&pages, 16);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "keep_row", keep_row, METH_VARARGS, NULL },
	{ "render", render, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = "extension",
	.m_size = -1,
	.m_methods = methods,
};

PyMODINIT_FUNC PyInit_extension(void)
{
	(void)say_ready;
	return PyModule_Create(&module);
}
